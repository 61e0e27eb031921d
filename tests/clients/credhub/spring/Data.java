import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.springframework.credhub.support.CredentialDetails;
import org.springframework.credhub.support.KeyLength;
import org.springframework.credhub.support.ServicesData;
import org.springframework.credhub.support.SimpleCredentialName;
import org.springframework.credhub.support.WriteMode;
import org.springframework.credhub.support.certificate.CertificateCredential;
import org.springframework.credhub.support.certificate.CertificateCredentialRequest;
import org.springframework.credhub.support.json.JsonCredential;
import org.springframework.credhub.support.json.JsonCredentialRequest;
import org.springframework.credhub.support.password.PasswordCredential;
import org.springframework.credhub.support.password.PasswordCredentialRequest;
import org.springframework.credhub.support.password.PasswordParameters;
import org.springframework.credhub.support.password.PasswordParametersRequest;
import org.springframework.credhub.support.rsa.RsaCredential;
import org.springframework.credhub.support.rsa.RsaCredentialRequest;
import org.springframework.credhub.support.rsa.RsaParameters;
import org.springframework.credhub.support.rsa.RsaParametersRequest;
import org.springframework.credhub.support.ssh.SshCredential;
import org.springframework.credhub.support.ssh.SshCredentialRequest;
import org.springframework.credhub.support.ssh.SshParameters;
import org.springframework.credhub.support.ssh.SshParametersRequest;
import org.springframework.credhub.support.user.UserCredential;
import org.springframework.credhub.support.user.UserCredentialRequest;
import org.springframework.credhub.support.user.UserParametersRequest;
import org.springframework.credhub.support.value.ValueCredential;
import org.springframework.credhub.support.value.ValueCredentialRequest;

/** Credentials of every type: set, generated, got, found, made anew, put into bindings, deleted. */
final class Data {
    private Data() {}

    static void all(Calls calls) {
        calls.call("version", () -> calls.credhub.info().version());
        set(calls);
        generate(calls);
        get(calls);
        find(calls);
        regenerate(calls);
        interpolate(calls);
    }

    private static void set(Calls calls) {
        var credentials = calls.credhub.credentials();
        Supplier<CredentialDetails<ValueCredential>> value = () ->
            credentials.write(ValueCredentialRequest.builder().name(calls.at("value")).value("first").build());
        calls.call("set a value", value);
        calls.call("set it again", value);
        // As CredHub 2 has no mode here.
        calls.call("set with a mode", () -> credentials.write(
            ValueCredentialRequest.builder().name(calls.at("value")).value("v").mode(WriteMode.OVERWRITE).build()));
        var nested = new HashMap<String, Object>(Map.of("on", true));
        nested.put("of", null);
        calls.call("set json", () -> credentials.write(JsonCredentialRequest.builder().name(calls.at("json"))
            .value(new JsonCredential(Map.of("host", "db", "port", 5432, "tls", nested))).build()));
        calls.call("set a password", () -> credentials.write(PasswordCredentialRequest.builder().name(calls.at("given-password"))
            .value(new PasswordCredential("hunter2 'ä'")).build()));
        calls.call("set a user", () -> credentials.write(UserCredentialRequest.builder().name(calls.at("given-user"))
            .value(new UserCredential("ann", "hunter2")).build()));
        calls.call("set rsa", () -> credentials.write(RsaCredentialRequest.builder().name(calls.at("given-rsa"))
            .value(new RsaCredential("public", "private")).build()));
        calls.call("set ssh", () -> credentials.write(SshCredentialRequest.builder().name(calls.at("given-ssh"))
            .value(new SshCredential("public", "private")).build()));
        var signed = calls.plan.get("signed");
        calls.call("set a certificate", () -> credentials.write(CertificateCredentialRequest.builder()
            .name(calls.at("given-certificate")).value(new CertificateCredential(signed.get("certificate").asText(),
                signed.get("ca").asText(), signed.get("privateKey").asText())).build()));
        calls.call("set another type", () -> credentials.write(PasswordCredentialRequest.builder().name(calls.at("value"))
            .value(new PasswordCredential("p")).build()));
        calls.call("set a name with a space", () -> credentials.write(
            ValueCredentialRequest.builder().name(calls.at("a b")).value("v").build()));
    }

    private static void generate(Calls calls) {
        var credentials = calls.credhub.credentials();
        var plain = new PasswordParameters(40, true, false, false, false);
        for (var mode : List.of(WriteMode.NO_OVERWRITE, WriteMode.CONVERGE, WriteMode.OVERWRITE)) {
            calls.call("generate a password, " + mode.getMode(), () -> credentials.generate(PasswordParametersRequest.builder()
                .name(calls.at("password")).parameters(plain).mode(mode).build()));
        }
        calls.call("generate a user", () -> credentials.generate(UserParametersRequest.builder().name(calls.at("user"))
            .username("bob").parameters(new PasswordParameters(12, false, false, false, false)).build()));
        calls.call("generate rsa", () -> credentials.generate(RsaParametersRequest.builder().name(calls.at("rsa"))
            .parameters(new RsaParameters(KeyLength.LENGTH_2048)).build()));
        calls.call("generate ssh", () -> credentials.generate(SshParametersRequest.builder().name(calls.at("ssh"))
            .parameters(new SshParameters(KeyLength.LENGTH_2048, "ann@example.com")).build()));
        calls.call("generate another type", () -> credentials.generate(SshParametersRequest.builder().name(calls.at("rsa"))
            .parameters(new SshParameters(KeyLength.LENGTH_2048)).build()));
    }

    private static void get(Calls calls) {
        var credentials = calls.credhub.credentials();
        CredentialDetails<ValueCredential> latest =
            calls.call("get a value", () -> credentials.getByName(calls.at("value"), ValueCredential.class));
        var id = latest == null ? "none" : latest.getId();
        calls.call("get by id", () -> credentials.getById(id, ValueCredential.class));
        calls.call("get all versions", () -> credentials.getByNameWithHistory(calls.at("value"), ValueCredential.class));
        calls.call("get one version", () -> credentials.getByNameWithHistory(calls.at("value"), 1, ValueCredential.class));
        calls.call("get json", () -> credentials.getByName(calls.at("json"), JsonCredential.class));
        calls.call("get a password", () -> credentials.getByName(calls.at("password"), PasswordCredential.class));
        calls.call("get a user", () -> credentials.getByName(calls.at("user"), UserCredential.class));
        calls.call("get rsa", () -> credentials.getByName(calls.at("rsa"), RsaCredential.class));
        calls.call("get ssh", () -> credentials.getByName(calls.at("ssh"), SshCredential.class));
        calls.call("get what is not there", () -> credentials.getByName(calls.at("nothing"), ValueCredential.class));
        calls.call("get an id that is not there", () ->
            credentials.getById("00000000-0000-4000-8000-000000000000", ValueCredential.class));
        calls.call("get an id that is none", () -> credentials.getById("none", ValueCredential.class));
    }

    private static void find(Calls calls) {
        var credentials = calls.credhub.credentials();
        calls.call("find by name", () -> credentials.findByName(new SimpleCredentialName("GIVEN-")));
        calls.call("find by path", () -> credentials.findByPath(calls.who.get("place").asText()));
        calls.call("find everything", () -> credentials.findByPath("/"));
    }

    private static void regenerate(Calls calls) {
        var credentials = calls.credhub.credentials();
        calls.call("regenerate password", () -> credentials.regenerate(calls.at("password"), PasswordCredential.class));
        calls.call("regenerate user", () -> credentials.regenerate(calls.at("user"), UserCredential.class));
        calls.call("regenerate rsa", () -> credentials.regenerate(calls.at("rsa"), RsaCredential.class));
        calls.call("regenerate ssh", () -> credentials.regenerate(calls.at("ssh"), SshCredential.class));
        calls.call("regenerate json", () -> credentials.regenerate(calls.at("json"), JsonCredential.class));
        calls.call("regenerate a given password", () ->
            credentials.regenerate(calls.at("given-password"), PasswordCredential.class));
        calls.call("regenerate what is not there", () ->
            credentials.regenerate(calls.at("nothing"), PasswordCredential.class));
    }

    private static void interpolate(Calls calls) {
        for (var name : List.of("json", "nothing", "value")) {
            var services = new ServicesData();
            services.put("p-config", List.of(
                Map.of("label", "config", "credentials", Map.of("credhub-ref", "((" + calls.at(name).getName() + "))")),
                Map.of("credentials", Map.of("plain", 1))));
            calls.call("interpolate " + name, () -> calls.credhub.interpolation().interpolateServiceData(services));
        }
    }

    static void remove(Calls calls) {
        var credentials = calls.credhub.credentials();
        calls.call("delete", () -> credentials.deleteByName(calls.at("value")));
        calls.call("delete it again", () -> credentials.deleteByName(calls.at("value")));
        calls.call("get what was deleted", () -> credentials.getByNameWithHistory(calls.at("value"), ValueCredential.class));
    }

    /** Of one who may read a single name of another. */
    static void restricted(Calls calls) {
        var credentials = calls.credhub.credentials();
        var shared = new SimpleCredentialName(calls.who.get("shared").asText().substring(1).split("/"));
        calls.call("read what is shared", () -> credentials.getByName(shared, PasswordCredential.class));
        calls.call("read what is not", () -> credentials.getByName(calls.at("password"), PasswordCredential.class));
        calls.call("write what is shared", () -> credentials.write(
            PasswordCredentialRequest.builder().name(shared).value(new PasswordCredential("mine")).build()));
        calls.call("regenerate what is shared", () -> credentials.regenerate(shared, PasswordCredential.class));
        calls.call("delete what is shared", () -> credentials.deleteByName(shared));
        calls.call("find everything", () -> credentials.findByPath("/"));
        calls.call("permissions of what is shared", () -> calls.credhub.permissions().getPermissions(shared));
        calls.call("all certificates", () -> calls.credhub.certificates().getAll());
    }

    /** Of one who is not let in. */
    static void refused(Calls calls) {
        var any = new SimpleCredentialName("any");
        calls.call("get", () -> calls.credhub.credentials().getByName(any, ValueCredential.class));
        calls.call("set", () -> calls.credhub.credentials().write(ValueCredentialRequest.builder().name(any).value("v").build()));
    }
}
