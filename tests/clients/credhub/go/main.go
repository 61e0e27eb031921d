// Command credhub-go makes every call of CredHub's official Go library, unchanged, against the server of a plan.
//
//	credhub-go PLAN
//
// The plan is a JSON file: where the server is, whom to trust, the callers, and values that are to be set.
// It prints one line of JSON for each call: by whom, its name, the statuses that came back, and what the library returned
// or which error it made of them. The library's client counts nothing by itself: the statuses come from its transport.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"code.cloudfoundry.org/credhub-cli/credhub"
	"code.cloudfoundry.org/credhub-cli/credhub/auth"
)

type plan struct {
	URL string
	// PEM of the roots that are trusted.
	Roots   string
	Callers map[string]caller
	// What there is to be set.
	Signed  certificate
	Foreign certificate
	// Whom permissions are given to.
	Actor string
}

// With a client and its secret, a user besides, a token, or files of a certificate: or with nothing.
type caller struct {
	Client, Secret, User, Password, Token string
	Certificate, Key                      string
	// Where it may do everything, and a name there that others may read.
	Place, Shared string
	// What a permission calls it.
	Self string
}

type certificate struct{ Ca, Certificate, PrivateKey string }

type outcome struct {
	By       string `json:"by"`
	Call     string `json:"call"`
	Statuses []int  `json:"statuses"`
	Error    *fault `json:"error"`
	Result   any    `json:"result"`
}

// What the library made of a refusal.
type fault struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// session is the library in the hands of one caller.
type session struct {
	*credhub.CredHub
	by       string
	who      caller
	plan     plan
	statuses *recorder
}

// recorder notes the status of every answer on its way to the library.
type recorder struct {
	next http.RoundTripper
	lock sync.Mutex
	seen []int
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.next.RoundTrip(request)
	if err == nil {
		r.lock.Lock()
		r.seen = append(r.seen, answer.StatusCode)
		r.lock.Unlock()
	}
	return answer, err
}

func (r *recorder) taken() []int {
	r.lock.Lock()
	defer r.lock.Unlock()
	seen := r.seen
	r.seen = []int{}
	return seen
}

func (p plan) session(by string) (*session, error) {
	who := p.Callers[by]
	options := []credhub.Option{credhub.CaCerts(p.Roots)}
	switch {
	case who.Certificate != "":
		options = append(options, credhub.ClientCert(who.Certificate, who.Key))
	case who.User != "":
		options = append(options, credhub.Auth(auth.UaaPassword(who.Client, who.Secret, who.User, who.Password)))
	case who.Client != "":
		options = append(options, credhub.Auth(auth.Uaa(who.Client, who.Secret, "", "", who.Token, "", true)))
	}
	library, err := credhub.New(p.URL, options...)
	if err != nil {
		return nil, err
	}
	statuses := &recorder{next: library.Client().Transport, seen: []int{}}
	library.Client().Transport = statuses
	return &session{library, by, who, p, statuses}, nil
}

func (s *session) at(name string) string { return s.who.Place + "/" + name }

// call makes one, and says what came of it. What it returned is returned, too, for calls that build on it.
func call[T any](s *session, name string, made func() (T, error)) T {
	s.statuses.taken()
	result, err := made()
	said := outcome{By: s.by, Call: name, Statuses: s.statuses.taken()}
	if err != nil {
		said.Error = faulted(err)
	} else {
		said.Result = result
	}
	say(said)
	return result
}

func faulted(err error) *fault {
	var absent *credhub.NotFoundError
	var refused *credhub.Error
	switch {
	case errors.As(err, &absent):
		return &fault{"NotFoundError", absent.Error()}
	case errors.As(err, &refused):
		return &fault{"Error", refused.Error()}
	}
	return &fault{"other", err.Error()}
}

func say(said outcome) {
	line, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func read(path string) (p plan, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	return
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: credhub-go PLAN")
		os.Exit(2)
	}
	p, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, by := range []string{"token", "certificate"} {
		p.as(by, everything)
	}
	p.as("user", func(s *session) { s.about() })
	p.as("expired", func(s *session) { s.about() })
	p.as("reader", restricted)
	for _, by := range []string{"no scope", "wrong secret", "nobody", "foreign certificate", "expired certificate", "no identity"} {
		p.as(by, refused)
	}
}

// as lets one caller call. That the library cannot even begin is an outcome, too.
func (p plan) as(by string, calls func(*session)) {
	s, err := p.session(by)
	if err != nil {
		say(outcome{By: by, Call: "begin", Statuses: []int{}, Error: faulted(err)})
		return
	}
	calls(s)
}

func everything(s *session) {
	s.about()
	s.set()
	s.generate()
	s.get()
	s.find()
	s.regenerate()
	s.certificates()
	s.rotation()
	s.permissions()
	s.interpolate()
	s.remove()
}

// Of one who may read a single name of another.
func restricted(s *session) {
	call(s, "read what is shared", func() (any, error) { return s.GetLatestVersion(s.who.Shared) })
	call(s, "read what is not", func() (any, error) { return s.GetLatestVersion(s.who.Place + "/password") })
	call(s, "write what is shared", func() (any, error) { return s.SetPassword(s.who.Shared, "mine") })
	call(s, "generate elsewhere", func() (any, error) {
		return s.GenerateCredential("/nowhere/new", "password", nothing, credhub.Overwrite)
	})
	call(s, "regenerate what is shared", func() (any, error) { return s.Regenerate(s.who.Shared) })
	call(s, "delete what is shared", func() (any, error) { return nil, s.Delete(s.who.Shared) })
	call(s, "delete what is not there", func() (any, error) { return nil, s.Delete("/nowhere/at/all") })
	call(s, "find everything", func() (any, error) { return s.FindByPath("/") })
	call(s, "permissions of what is shared", func() (any, error) { return s.GetPermissions(s.who.Shared) })
	call(s, "a permission for another", func() (any, error) {
		return s.AddPermission(s.who.Shared, s.plan.Actor, []string{"read"})
	})
	call(s, "all certificates", func() (any, error) { return s.GetAllCertificatesMetadata() })
	call(s, "interpolate what is not shared", func() (any, error) {
		return s.InterpolateString(`{"p-config-server":[{"credentials":{"credhub-ref":"` + s.who.Place + `/json"}}]}`)
	})
}

// Of one who is not let in.
func refused(s *session) {
	call(s, "get", func() (any, error) { return s.GetLatestVersion("/any") })
	call(s, "set", func() (any, error) { return s.SetCredential("/any", "value", "v") })
}
