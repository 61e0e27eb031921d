package main

import (
	"net/http"
	"net/url"

	"code.cloudfoundry.org/credhub-cli/credhub"
	"code.cloudfoundry.org/credhub-cli/credhub/credentials"
	"code.cloudfoundry.org/credhub-cli/credhub/credentials/generate"
	"code.cloudfoundry.org/credhub-cli/credhub/credentials/values"
)

var nothing = struct{}{}

func (s *session) about() {
	call(s, "info", func() (any, error) { return s.Info() })
	call(s, "version", func() (any, error) {
		version, err := s.ServerVersion()
		if err != nil {
			return nil, err
		}
		return version.String(), nil
	})
	call(s, "auth url", func() (any, error) { return s.AuthURL() })
}

func (s *session) set() {
	call(s, "set a value", func() (any, error) { return s.SetValue(s.at("value"), "first") })
	call(s, "set it again", func() (any, error) { return s.SetValue(s.at("value"), "first") })
	call(s, "set a value with metadata", func() (any, error) {
		about := func(options *credhub.SetOptions) error {
			options.Metadata = credentials.Metadata{"team": "shop", "since": 2024.0, "tags": []any{"a", nil}}
			return nil
		}
		return s.SetCredential(s.at("value"), "value", "third", about)
	})
	call(s, "set json", func() (any, error) {
		return s.SetJSON(s.at("json"), values.JSON{"host": "db", "port": 5432.0, "tls": map[string]any{"on": true, "of": nil}})
	})
	call(s, "set a password", func() (any, error) { return s.SetPassword(s.at("given-password"), "hunter2 'ä'") })
	call(s, "set a user", func() (any, error) {
		return s.SetUser(s.at("given-user"), values.User{Username: "ann", Password: "hunter2"})
	})
	call(s, "set rsa", func() (any, error) {
		return s.SetRSA(s.at("given-rsa"), values.RSA{PublicKey: "public", PrivateKey: "private"})
	})
	call(s, "set ssh", func() (any, error) {
		return s.SetSSH(s.at("given-ssh"), values.SSH{PublicKey: "public", PrivateKey: "private"})
	})
	call(s, "set another type", func() (any, error) { return s.SetPassword(s.at("value"), "p") })
	call(s, "set nothing", func() (any, error) { return s.SetValue(s.at("empty"), "") })
	call(s, "set an unknown type", func() (any, error) { return s.SetCredential(s.at("value"), "secret", "v") })
	call(s, "set without a name", func() (any, error) { return s.SetValue("", "v") })
	call(s, "set a name with a space", func() (any, error) { return s.SetValue(s.at("a b"), "v") })
	call(s, "set a name with two slashes", func() (any, error) { return s.SetValue(s.at("/a"), "v") })
	call(s, "set a user without a password", func() (any, error) {
		return s.SetUser(s.at("no-password"), values.User{Username: "ann"})
	})
	call(s, "set a key without keys", func() (any, error) { return s.SetRSA(s.at("no-keys"), values.RSA{}) })
}

func (s *session) generate() {
	call(s, "generate a password", func() (any, error) {
		return s.GeneratePassword(s.at("password"), generate.Password{}, credhub.NoOverwrite)
	})
	call(s, "generate it unless it is there", func() (any, error) {
		return s.GeneratePassword(s.at("password"), generate.Password{Length: 40}, credhub.NoOverwrite)
	})
	call(s, "generate it anew", func() (any, error) {
		only := generate.Password{Length: 40, ExcludeUpper: true, ExcludeLower: true, IncludeSpecial: true}
		return s.GeneratePassword(s.at("password"), only, credhub.Overwrite)
	})
	// The library sends both `mode` and `overwrite` here.
	call(s, "generate it by converging", func() (any, error) {
		return s.GeneratePassword(s.at("password"), generate.Password{Length: 40}, credhub.Converge)
	})
	call(s, "generate a password of nothing", func() (any, error) {
		none := generate.Password{ExcludeNumber: true, ExcludeUpper: true, ExcludeLower: true}
		return s.GeneratePassword(s.at("password-of-nothing"), none, credhub.Overwrite)
	})
	call(s, "generate a user", func() (any, error) {
		return s.GenerateUser(s.at("user"), generate.User{Username: "bob", Length: 12}, credhub.NoOverwrite)
	})
	call(s, "generate a user without a name", func() (any, error) {
		return s.GenerateUser(s.at("user-without-a-name"), generate.User{}, credhub.Overwrite)
	})
	call(s, "generate rsa", func() (any, error) {
		return s.GenerateRSA(s.at("rsa"), generate.RSA{KeyLength: 2048}, credhub.NoOverwrite)
	})
	call(s, "generate rsa of an odd length", func() (any, error) {
		return s.GenerateRSA(s.at("odd-rsa"), generate.RSA{KeyLength: 1024}, credhub.NoOverwrite)
	})
	call(s, "generate ssh", func() (any, error) {
		return s.GenerateSSH(s.at("ssh"), generate.SSH{KeyLength: 2048, Comment: "ann@example.com"}, credhub.NoOverwrite)
	})
	call(s, "generate with metadata", func() (any, error) {
		about := func(options *credhub.GenerateOptions) error {
			options.Metadata = credentials.Metadata{"made": "here"}
			return nil
		}
		return s.GenerateCredential(s.at("described"), "password", generate.Password{}, credhub.Overwrite, about)
	})
	call(s, "generate another type", func() (any, error) {
		return s.GenerateSSH(s.at("rsa"), generate.SSH{KeyLength: 2048}, credhub.NoOverwrite)
	})
	call(s, "generate a value", func() (any, error) {
		return s.GenerateCredential(s.at("made-value"), "value", nothing, credhub.Overwrite)
	})
	call(s, "generate an unknown type", func() (any, error) {
		return s.GenerateCredential(s.at("made-value"), "secret", nothing, credhub.Overwrite)
	})
	call(s, "generate with an unknown parameter", func() (any, error) {
		odd := map[string]any{"only_hex": true}
		return s.GenerateCredential(s.at("odd"), "password", odd, credhub.Overwrite)
	})
}

func (s *session) get() {
	latest := call(s, "get the latest", func() (credentials.Credential, error) { return s.GetLatestVersion(s.at("value")) })
	call(s, "get by id", func() (any, error) { return s.GetById(latest.Id) })
	call(s, "get all versions", func() (any, error) { return s.GetAllVersions(s.at("value")) })
	call(s, "get two versions", func() (any, error) { return s.GetNVersions(s.at("value"), 2) })
	call(s, "get no version", func() (any, error) { return s.GetNVersions(s.at("value"), 0) })
	call(s, "get less than none", func() (any, error) { return s.GetNVersions(s.at("value"), -1) })
	call(s, "get a value", func() (any, error) { return s.GetLatestValue(s.at("value")) })
	call(s, "get json", func() (any, error) { return s.GetLatestJSON(s.at("json")) })
	call(s, "get a password", func() (any, error) { return s.GetLatestPassword(s.at("password")) })
	call(s, "get a user", func() (any, error) { return s.GetLatestUser(s.at("user")) })
	call(s, "get rsa", func() (any, error) { return s.GetLatestRSA(s.at("rsa")) })
	call(s, "get ssh", func() (any, error) { return s.GetLatestSSH(s.at("ssh")) })
	call(s, "get by another spelling", func() (any, error) { return s.GetLatestValue(s.who.Place[1:] + "/VALUE") })
	call(s, "get what is not there", func() (any, error) { return s.GetLatestVersion(s.at("nothing")) })
	call(s, "get an id that is not there", func() (any, error) { return s.GetById("00000000-0000-4000-8000-000000000000") })
	call(s, "get an id that is none", func() (any, error) { return s.GetById("none") })
	call(s, "get without a name", func() (any, error) { return s.GetLatestVersion("") })
}

func (s *session) find() {
	call(s, "find by name", func() (any, error) { return s.FindByPartialName("GIVEN-") })
	call(s, "find by path", func() (any, error) { return s.FindByPath(s.who.Place) })
	call(s, "find everything", func() (any, error) { return s.FindByPath("") })
	call(s, "find nothing", func() (any, error) { return s.FindByPartialName("%") })
}

func (s *session) regenerate() {
	for _, kind := range []string{"password", "user", "rsa", "ssh"} {
		call(s, "regenerate "+kind, func() (any, error) { return s.Regenerate(s.at(kind)) })
	}
	call(s, "regenerate a given password", func() (any, error) { return s.Regenerate(s.at("given-password")) })
	call(s, "regenerate a given user", func() (any, error) { return s.Regenerate(s.at("given-user")) })
	call(s, "regenerate json", func() (any, error) { return s.Regenerate(s.at("json")) })
	call(s, "regenerate what is not there", func() (any, error) { return s.Regenerate(s.at("nothing")) })
	call(s, "regenerate with metadata", func() (any, error) {
		about := func(options *credhub.RegenerateOptions) error {
			options.Metadata = credentials.Metadata{"again": true}
			return nil
		}
		return s.Regenerate(s.at("described"), about)
	})
}

func (s *session) interpolate() {
	services := func(name string) string {
		return `{"p-config":[{"label":"config","credentials":{"credhub-ref":"((` + s.at(name) + `))"}},{"credentials":{"plain":1}}]}`
	}
	for _, name := range []string{"json", "nothing", "value"} {
		call(s, "interpolate "+name, func() (any, error) { return s.InterpolateString(services(name)) })
	}
}

func (s *session) remove() {
	call(s, "delete", func() (any, error) { return nil, s.Delete(s.at("value")) })
	call(s, "delete it again", func() (any, error) { return nil, s.Delete(s.at("value")) })
	call(s, "delete without a name", func() (any, error) { return nil, s.Delete("") })
	call(s, "get what was deleted", func() (any, error) { return s.GetAllVersions(s.at("value")) })
	// Through the library's own way to say what it has no name for.
	call(s, "key usage", func() (any, error) { return raw[map[string]any](s, http.MethodGet, "/api/v1/key-usage", nil, nil) })
	call(s, "find what ends soon", func() (any, error) {
		soon := url.Values{"path": {s.who.Place}, "expires-within-days": {"31"}}
		return raw[map[string]any](s, http.MethodGet, "/api/v1/data", soon, nil)
	})
	call(s, "no such path", func() (any, error) { return raw[any](s, http.MethodGet, "/api/v1/nothing", nil, nil) })
}
