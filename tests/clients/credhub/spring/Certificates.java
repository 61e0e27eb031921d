import org.springframework.credhub.support.CredentialDetails;
import org.springframework.credhub.support.KeyLength;
import org.springframework.credhub.support.certificate.CertificateCredential;
import org.springframework.credhub.support.certificate.CertificateCredentialDetails;
import org.springframework.credhub.support.certificate.CertificateParameters;
import org.springframework.credhub.support.certificate.CertificateParameters.CertificateParametersBuilder;
import org.springframework.credhub.support.certificate.CertificateParametersRequest;
import org.springframework.credhub.support.certificate.CertificateSummary;
import org.springframework.credhub.support.certificate.ExtendedKeyUsage;
import org.springframework.credhub.support.certificate.KeyUsage;

/** Certificates and their authorities: made, listed, made anew, and a root exchanged. */
final class Certificates {
    private final Calls calls;

    private Certificates(Calls calls) {
        this.calls = calls;
    }

    static void all(Calls calls) {
        var certificates = new Certificates(calls);
        certificates.generate();
        certificates.list();
        certificates.rotate();
    }

    private static CertificateParametersBuilder named(String name) {
        return CertificateParameters.builder().commonName(name);
    }

    private static CertificateParametersBuilder authority(String name) {
        return named(name).certificateAuthority(true).keyUsage(KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN);
    }

    private CredentialDetails<CertificateCredential> made(String called, String name, CertificateParametersBuilder wanted) {
        return calls.call(called, () -> calls.credhub.credentials().generate(
            CertificateParametersRequest.builder().name(calls.at(name)).parameters(wanted.build()).build()));
    }

    private void generate() {
        made("generate a root", "root", authority("Root").duration(3650));
        made("generate an authority", "below",
            authority("Below").organization("Shop, Inc.").certificateAuthorityCredential(calls.at("root")));
        made("generate a certificate", "leaf", named("mail.example.com").organization("Shop").organizationUnit("Mail")
            .locality("Bern").state("BE").country("CH").certificateAuthorityCredential(calls.at("below")).duration(30)
            .alternateNames("mail.example.com", "*.mail.example.com", "10.1.2.3", "fd00::1").keyLength(KeyLength.LENGTH_3072)
            .keyUsage(KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT)
            .extendedKeyUsage(ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH));
        made("generate a certificate of its own", "alone", named("alone").selfSign(true).duration(1));
        made("generate under what is not there", "unsigned",
            named("a").certificateAuthorityCredential(calls.at("nothing")));
        made("generate under a certificate", "unsigned", named("a").certificateAuthorityCredential(calls.at("leaf")));
    }

    private void list() {
        var certificates = calls.credhub.certificates();
        var credentials = calls.credhub.credentials();
        calls.call("get a certificate", () -> credentials.getByName(calls.at("leaf"), CertificateCredential.class));
        calls.call("all certificates", () -> certificates.getAll());
        calls.call("a certificate's versions", () -> certificates.getByName(calls.at("below")));
        calls.call("versions of what is not there", () -> certificates.getByName(calls.at("nothing")));
        calls.call("regenerate a certificate", () -> credentials.regenerate(calls.at("leaf"), CertificateCredential.class));
        calls.call("regenerate a given certificate", () ->
            credentials.regenerate(calls.at("given-certificate"), CertificateCredential.class));
        calls.call("regenerate all under a root", () -> certificates.regenerate(calls.at("root")));
        calls.call("a regenerated certificate", () -> credentials.getByName(calls.at("leaf"), CertificateCredential.class));
        calls.call("a regenerated authority", () -> credentials.getByName(calls.at("below"), CertificateCredential.class));
    }

    /** A root is exchanged without a moment at which a client that trusts what it was given would refuse a certificate. */
    private void rotate() {
        var certificates = calls.credhub.certificates();
        var name = calls.at("turning");
        CredentialDetails<CertificateCredential> first = made("rotation: a root", "turning", authority("Turning"));
        made("rotation: a certificate", "turned", named("turned").alternateNames("turned").certificateAuthorityCredential(name));
        CertificateSummary about = calls.call("rotation: its id", () -> certificates.getByName(name));
        if (first == null || about == null) {
            return;
        }
        CertificateCredentialDetails second =
            calls.call("rotation: a second root", () -> certificates.regenerate(about.getId(), true));
        calls.call("rotation: a third root", () -> certificates.regenerate(about.getId(), true));
        step("with both roots");
        calls.call("rotation: the second root signs", () ->
            certificates.updateTransitionalVersion(about.getId(), first.getId()));
        calls.call("rotation: certificates anew", () -> certificates.regenerate(name));
        step("of the second root");
        calls.call("rotation: the first root is gone", () -> certificates.updateTransitionalVersion(about.getId(), null));
        step("with one root");
        calls.call("rotation: a version of another", () ->
            certificates.updateTransitionalVersion(about.getId(), "00000000-0000-4000-8000-000000000000"));
    }

    private void step(String called) {
        calls.call("rotation: the certificate " + called, () ->
            calls.credhub.credentials().getByName(calls.at("turned"), CertificateCredential.class));
    }
}
