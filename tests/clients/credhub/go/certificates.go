package main

import (
	"encoding/json"
	"net/http"
	"net/url"

	"code.cloudfoundry.org/credhub-cli/credhub"
	"code.cloudfoundry.org/credhub-cli/credhub/credentials"
	"code.cloudfoundry.org/credhub-cli/credhub/credentials/generate"
	"code.cloudfoundry.org/credhub-cli/credhub/credentials/values"
)

// raw is for what the library has no function of its own for: it lets any request be sent its way.
func raw[T any](s *session, method, path string, query url.Values, body any) (result T, err error) {
	answer, err := s.Request(method, path, query, body, true)
	if err != nil {
		return result, err
	}
	defer answer.Body.Close()
	return result, json.NewDecoder(answer.Body).Decode(&result)
}

var signs = []string{"key_cert_sign", "crl_sign"}

func (s *session) certificates() {
	made := func(called, name string, wanted generate.Certificate) {
		call(s, called, func() (any, error) { return s.GenerateCertificate(s.at(name), wanted, credhub.NoOverwrite) })
	}
	made("generate a root", "root", generate.Certificate{CommonName: "Root", IsCA: true, KeyUsage: signs, Duration: 3650})
	made("generate an authority", "below", generate.Certificate{
		CommonName: "Below", Organization: "Shop, Inc.", IsCA: true, Ca: s.at("root"), KeyUsage: signs,
	})
	made("generate a certificate", "leaf", generate.Certificate{
		CommonName: "mail.example.com", Organization: "Shop", OrganizationUnit: "Mail", Locality: "Bern", State: "BE", Country: "CH",
		AlternativeNames: []string{"mail.example.com", "*.mail.example.com", "10.1.2.3", "fd00::1"}, Ca: s.at("below"), Duration: 30,
		KeyUsage: []string{"digital_signature", "key_encipherment"}, ExtendedKeyUsage: []string{"server_auth", "client_auth"},
		KeyLength: 3072,
	})
	made("generate a certificate unless it is there", "leaf", generate.Certificate{CommonName: "other", Ca: s.at("below")})
	made("generate a plain authority", "plain", generate.Certificate{CommonName: "Plain", IsCA: true})
	made("generate a certificate of its own", "alone", generate.Certificate{CommonName: "alone", SelfSign: true, Duration: 1})
	made("generate without a signer", "unsigned", generate.Certificate{CommonName: "a"})
	made("generate with two signers", "unsigned", generate.Certificate{CommonName: "a", SelfSign: true, Ca: s.at("root")})
	made("generate without a subject", "unsigned", generate.Certificate{SelfSign: true})
	made("generate under what is not there", "unsigned", generate.Certificate{CommonName: "a", Ca: s.at("nothing")})
	made("generate under a password", "unsigned", generate.Certificate{CommonName: "a", Ca: s.at("password")})
	made("generate under a certificate", "unsigned", generate.Certificate{CommonName: "a", Ca: s.at("leaf")})
	made("generate for too long", "unsigned", generate.Certificate{CommonName: "a", SelfSign: true, Duration: 3651})
	made("generate with a wrong usage", "unsigned", generate.Certificate{CommonName: "a", SelfSign: true, KeyUsage: []string{"all"}})
	made("generate for a wrong name", "unsigned", generate.Certificate{CommonName: "a", SelfSign: true, AlternativeNames: []string{"a b"}})

	given := func(called, name string, value values.Certificate) {
		call(s, called, func() (any, error) { return s.SetCertificate(s.at(name), value) })
	}
	of, foreign := s.plan.Signed, s.plan.Foreign
	whole := values.Certificate{Ca: of.Ca, Certificate: of.Certificate, PrivateKey: of.PrivateKey}
	given("set an authority", "given-root", values.Certificate{Ca: of.Ca, Certificate: of.Ca})
	given("set a certificate", "given-certificate", whole)
	given("set a certificate by its authority's name", "given-by-name", values.Certificate{
		CaName: s.at("given-root"), Certificate: of.Certificate, PrivateKey: of.PrivateKey,
	})
	given("set a certificate of another", "wrong", values.Certificate{
		CaName: s.at("given-root"), Certificate: foreign.Certificate, PrivateKey: foreign.PrivateKey,
	})
	given("set a certificate with another's key", "wrong", values.Certificate{
		Ca: of.Ca, Certificate: of.Certificate, PrivateKey: foreign.PrivateKey,
	})
	given("set what is no certificate", "wrong", values.Certificate{Certificate: "no certificate"})
	given("set no certificate", "wrong", values.Certificate{})
	given("set a certificate with two authorities", "wrong", values.Certificate{
		Ca: of.Ca, CaName: s.at("given-root"), Certificate: of.Certificate, PrivateKey: of.PrivateKey,
	})

	call(s, "get a certificate", func() (any, error) { return s.GetLatestCertificate(s.at("leaf")) })
	call(s, "all certificates", func() (any, error) { return s.GetAllCertificatesMetadata() })
	call(s, "a certificate's versions", func() (any, error) { return s.GetCertificateMetadataByName(s.at("below")) })
	call(s, "versions of what is not there", func() (any, error) { return s.GetCertificateMetadataByName(s.at("nothing")) })
	call(s, "versions of a password", func() (any, error) { return s.GetCertificateMetadataByName(s.at("password")) })
	call(s, "regenerate a certificate", func() (any, error) { return s.Regenerate(s.at("leaf")) })
	call(s, "regenerate a given certificate", func() (any, error) { return s.Regenerate(s.at("given-certificate")) })
	call(s, "regenerate all under a root", func() (any, error) { return s.BulkRegenerate(s.at("root")) })
	call(s, "a regenerated certificate", func() (any, error) { return s.GetLatestCertificate(s.at("leaf")) })
	call(s, "a regenerated authority", func() (any, error) { return s.GetLatestCertificate(s.at("below")) })
	call(s, "regenerate all under nothing", func() (any, error) { return s.BulkRegenerate(s.at("nothing")) })
	call(s, "regenerate all without a name", func() (any, error) { return s.BulkRegenerate("") })
}

// A root is exchanged without a moment at which a client that trusts what it was given would refuse a certificate.
func (s *session) rotation() {
	name := s.at("turning")
	call(s, "rotation: a root", func() (any, error) {
		return s.GenerateCertificate(name, generate.Certificate{CommonName: "Turning", IsCA: true, KeyUsage: signs}, credhub.NoOverwrite)
	})
	call(s, "rotation: a certificate", func() (any, error) {
		wanted := generate.Certificate{CommonName: "turned", AlternativeNames: []string{"turned"}, Ca: name}
		return s.GenerateCertificate(s.at("turned"), wanted, credhub.NoOverwrite)
	})
	step := func(called string) {
		call(s, "rotation: the certificate "+called, func() (any, error) { return s.GetLatestCertificate(s.at("turned")) })
	}
	about, err := s.GetCertificateMetadataByName(name)
	if err != nil || len(about.Versions) == 0 {
		say(outcome{By: s.by, Call: "rotation", Statuses: s.statuses.taken(), Error: &fault{"other", "no root to turn"}})
		return
	}
	place := "/api/v1/certificates/" + about.Id
	next := map[string]any{"set_as_transitional": true}
	call(s, "rotation: a second root", func() (any, error) {
		return raw[credentials.Certificate](s, http.MethodPost, place+"/regenerate", nil, next)
	})
	call(s, "rotation: a third root", func() (any, error) {
		return raw[credentials.Certificate](s, http.MethodPost, place+"/regenerate", nil, next)
	})
	step("with both roots")
	move := func(called string, version any) {
		call(s, called, func() (any, error) {
			return raw[[]credentials.Certificate](s, http.MethodPut, place+"/update_transitional_version", nil, map[string]any{"version": version})
		})
	}
	move("rotation: the second root signs", about.Versions[0].Id)
	call(s, "rotation: both roots", func() (any, error) {
		return raw[[]credentials.Certificate](s, http.MethodGet, place+"/versions", url.Values{"current": {"true"}}, nil)
	})
	call(s, "rotation: certificates anew", func() (any, error) { return s.BulkRegenerate(name) })
	step("of the second root")
	move("rotation: the first root is gone", nil)
	step("with one root")
	call(s, "rotation: versions", func() (any, error) { return s.GetCertificateMetadataByName(name) })
	call(s, "rotation: a version is deleted", func() (any, error) {
		return raw[credentials.Certificate](s, http.MethodDelete, place+"/versions/"+about.Versions[0].Id, nil, nil)
	})
	call(s, "rotation: the last version", func() (any, error) {
		left, err := s.GetCertificateMetadataByName(name)
		if err != nil {
			return nil, err
		}
		return raw[credentials.Certificate](s, http.MethodDelete, place+"/versions/"+left.Versions[0].Id, nil, nil)
	})
	move("rotation: a version of another", "00000000-0000-4000-8000-000000000000")
}
