import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.springframework.credhub.configuration.CredHubTemplateFactory;
import org.springframework.credhub.core.CredHubOperations;

/** Whom a connection trusts and what it shows: as on Cloud Foundry, where the platform sets the JVM's own context. */
final class Wire {
    private static final char[] OPEN = new char[0];

    private Wire() {}

    static void trust(JsonNode plan) {
        use(plan, null);
    }

    /** With the caller's certificate, which the library shows because the JVM does. */
    static CredHubOperations mutual(JsonNode plan, JsonNode who) {
        use(plan, who);
        return new CredHubTemplateFactory().credHubTemplate(Calls.properties(plan), Calls.options());
    }

    private static void use(JsonNode plan, JsonNode who) {
        try {
            var trusted = KeyStore.getInstance("PKCS12");
            trusted.load(null, OPEN);
            for (var root : certificates(plan.get("roots").asText())) {
                trusted.setCertificateEntry("root-" + trusted.size(), root);
            }
            var trust = TrustManagerFactory.getInstance("PKIX");
            trust.init(trusted);
            var context = SSLContext.getInstance("TLS");
            context.init(who == null ? null : keys(who).getKeyManagers(), trust.getTrustManagers(), null);
            HttpsURLConnection.setDefaultSSLSocketFactory(context.getSocketFactory());
        } catch (GeneralSecurityException | java.io.IOException fault) {
            throw new IllegalStateException(fault);
        }
    }

    private static KeyManagerFactory keys(JsonNode who) throws GeneralSecurityException, java.io.IOException {
        var text = Files.readString(Path.of(who.get("key").asText()));
        var der = Base64.getMimeDecoder().decode(text.replaceAll("-----[A-Z ]+-----", ""));
        var key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        var chain = certificates(Files.readString(Path.of(who.get("certificate").asText()))).toArray(new Certificate[0]);
        var own = KeyStore.getInstance("PKCS12");
        own.load(null, OPEN);
        own.setKeyEntry("own", key, OPEN, chain);
        var keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(own, OPEN);
        return keys;
    }

    private static Collection<? extends Certificate> certificates(String pem) throws GeneralSecurityException {
        var bytes = new ByteArrayInputStream(pem.getBytes(StandardCharsets.UTF_8));
        return CertificateFactory.getInstance("X.509").generateCertificates(bytes);
    }
}
