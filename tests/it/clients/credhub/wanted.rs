//! What each call comes to: the status of its last answer, and what the library makes of it.

use serde_json::Value;

use super::{Outcomes, Program};

/// Which programs make a call: one of them may have no function for it.
#[derive(Clone, Copy)]
enum By {
    Both,
    Go,
    Spring,
}

use By::{Both, Go, Spring};

impl By {
    fn is_for(self, program: Program) -> bool {
        match self {
            Both => true,
            Go => program == Program::Go,
            Spring => program == Program::Spring,
        }
    }
}

type Wanted = (&'static str, u16, By);

/// With a token and with a certificate alike.
const EVERYTHING: &[Wanted] = &[
    ("info", 200, Go),
    ("version", 200, Both),
    ("auth url", 200, Go),
    ("set a value", 200, Both),
    ("set it again", 200, Both),
    ("set a value with metadata", 200, Go),
    ("set with a mode", 422, Spring),
    ("set json", 200, Both),
    ("set a password", 200, Both),
    ("set a user", 200, Both),
    ("set rsa", 200, Both),
    ("set ssh", 200, Both),
    ("set another type", 400, Both),
    ("set nothing", 400, Go),
    ("set an unknown type", 422, Go),
    ("set without a name", 400, Go),
    ("set a name with a space", 400, Both),
    ("set a name with two slashes", 400, Go),
    ("set a user without a password", 400, Go),
    ("set a key without keys", 400, Go),
    ("generate a password", 200, Go),
    ("generate it unless it is there", 200, Go),
    ("generate it anew", 200, Go),
    // CredHub refuses `mode` and `overwrite` in one request, and its own library sends both here.
    ("generate it by converging", 400, Go),
    ("generate a password, no-overwrite", 200, Spring),
    ("generate a password, converge", 200, Spring),
    ("generate a password, overwrite", 200, Spring),
    ("generate a password of nothing", 400, Go),
    ("generate a user", 200, Both),
    ("generate a user without a name", 200, Go),
    ("generate rsa", 200, Both),
    ("generate rsa of an odd length", 400, Go),
    ("generate ssh", 200, Both),
    ("generate with metadata", 200, Go),
    ("generate another type", 400, Both),
    ("generate a value", 400, Go),
    ("generate an unknown type", 400, Go),
    ("generate with an unknown parameter", 400, Go),
    ("get the latest", 200, Go),
    ("get by id", 200, Both),
    ("get all versions", 200, Both),
    ("get one version", 200, Spring),
    ("get two versions", 200, Go),
    ("get no version", 404, Go),
    ("get less than none", 400, Go),
    ("get a value", 200, Both),
    ("get json", 200, Both),
    ("get a password", 200, Both),
    ("get a user", 200, Both),
    ("get rsa", 200, Both),
    ("get ssh", 200, Both),
    ("get by another spelling", 200, Go),
    ("get what is not there", 404, Both),
    ("get an id that is not there", 404, Both),
    ("get an id that is none", 404, Both),
    ("get without a name", 400, Go),
    ("find by name", 200, Both),
    ("find by path", 200, Both),
    ("find everything", 200, Both),
    ("find nothing", 200, Go),
    ("regenerate password", 200, Both),
    ("regenerate user", 200, Both),
    ("regenerate rsa", 200, Both),
    ("regenerate ssh", 200, Both),
    ("regenerate a given password", 400, Both),
    ("regenerate a given user", 400, Go),
    ("regenerate json", 400, Both),
    ("regenerate what is not there", 404, Both),
    ("regenerate with metadata", 200, Go),
    ("generate a root", 200, Both),
    ("generate an authority", 200, Both),
    ("generate a certificate", 200, Both),
    ("generate a certificate unless it is there", 200, Go),
    ("generate a plain authority", 200, Go),
    ("generate a certificate of its own", 200, Both),
    ("generate without a signer", 400, Go),
    ("generate with two signers", 400, Go),
    ("generate without a subject", 400, Go),
    ("generate under what is not there", 404, Both),
    ("generate under a password", 400, Go),
    ("generate under a certificate", 400, Both),
    ("generate for too long", 400, Go),
    ("generate with a wrong usage", 400, Go),
    ("generate for a wrong name", 400, Go),
    ("set an authority", 200, Go),
    ("set a certificate", 200, Both),
    ("set a certificate by its authority's name", 200, Go),
    ("set a certificate of another", 400, Go),
    ("set a certificate with another's key", 400, Go),
    ("set what is no certificate", 400, Go),
    ("set no certificate", 400, Go),
    ("set a certificate with two authorities", 400, Go),
    ("get a certificate", 200, Both),
    ("all certificates", 200, Both),
    ("a certificate's versions", 200, Both),
    ("versions of what is not there", 404, Both),
    ("versions of a password", 404, Go),
    ("regenerate a certificate", 200, Both),
    ("regenerate a given certificate", 400, Both),
    ("regenerate all under a root", 200, Both),
    ("a regenerated certificate", 200, Both),
    ("a regenerated authority", 200, Both),
    ("regenerate all under nothing", 200, Go),
    ("regenerate all without a name", 400, Go),
    ("rotation: a root", 200, Both),
    ("rotation: a certificate", 200, Both),
    ("rotation: its id", 200, Spring),
    ("rotation: a second root", 200, Both),
    ("rotation: a third root", 400, Both),
    ("rotation: the certificate with both roots", 200, Both),
    ("rotation: the second root signs", 200, Both),
    ("rotation: both roots", 200, Go),
    ("rotation: certificates anew", 200, Both),
    ("rotation: the certificate of the second root", 200, Both),
    ("rotation: the first root is gone", 200, Both),
    ("rotation: the certificate with one root", 200, Both),
    ("rotation: versions", 200, Go),
    ("rotation: a version is deleted", 200, Go),
    ("rotation: the last version", 400, Go),
    ("rotation: a version of another", 400, Both),
    ("add a permission", 201, Both),
    ("add it again", 409, Both),
    ("get it by its id", 200, Both),
    ("get it by path and actor", 200, Both),
    ("update it", 200, Both),
    ("update it for another", 400, Go),
    ("get it updated", 200, Both),
    ("delete it", 200, Both),
    ("get it deleted", 404, Both),
    ("delete it twice", 404, Go),
    ("get one that is not there", 404, Both),
    ("get one of no id", 404, Go),
    ("update one that is not there", 404, Go),
    ("add one of no operation", 400, Go),
    ("add one of a wrong operation", 422, Go),
    ("add one without an actor", 400, Go),
    ("add one without a path", 400, Go),
    ("add one for oneself", 400, Go),
    ("permit by name", 201, Spring),
    ("permit it again", 409, Spring),
    ("permissions of a name", 200, Both),
    ("permit no longer", 204, Spring),
    ("permit no longer again", 404, Spring),
    ("interpolate json", 200, Both),
    ("interpolate nothing", 404, Both),
    ("interpolate value", 400, Both),
    ("delete", 204, Both),
    ("delete it again", 404, Both),
    ("delete without a name", 400, Go),
    ("get what was deleted", 404, Both),
    ("key usage", 200, Go),
    ("find what ends soon", 200, Go),
    ("no such path", 404, Go),
];

/// Of one who may read a single name of another. Who may not write is told so; what cannot be read is not there.
const READER: &[Wanted] = &[
    ("read what is shared", 200, Both),
    ("read what is not", 404, Both),
    ("write what is shared", 403, Both),
    ("generate elsewhere", 403, Go),
    ("regenerate what is shared", 403, Both),
    ("delete what is shared", 404, Both),
    ("delete what is not there", 404, Go),
    ("find everything", 200, Both),
    ("permissions of what is shared", 404, Both),
    ("a permission for another", 404, Go),
    ("all certificates", 200, Both),
    ("interpolate what is not shared", 404, Go),
];

const ABOUT: &[Wanted] = &[("info", 200, Go), ("version", 200, Go), ("auth url", 200, Go)];
const NOT_LET_IN: &[Wanted] = &[("get", 401, Both), ("set", 401, Both)];
const WITHOUT_SCOPE: &[Wanted] = &[("get", 403, Both), ("set", 403, Both)];
/// The connection itself is refused: there is no answer.
const CUT: &[Wanted] = &[("get", 0, Both), ("set", 0, Both)];

const CALLERS: &[(&str, &[Wanted], By)] = &[
    ("token", EVERYTHING, Both),
    ("certificate", EVERYTHING, Both),
    ("reader", READER, Both),
    ("user", ABOUT, Go),
    ("expired", ABOUT, Go),
    ("no scope", WITHOUT_SCOPE, Both),
    ("wrong secret", NOT_LET_IN, Go),
    ("nobody", NOT_LET_IN, Go),
    // Its client does not show it to a server that asks for others: as if it had none.
    ("foreign certificate", NOT_LET_IN, Go),
    ("no identity", NOT_LET_IN, Both),
    ("expired certificate", CUT, Both),
];

/// Something in the words of an error.
const WORDS: &[(&str, &str, &str, By)] = &[
    ("nobody", "get", "access_denied: ", Go),
    ("foreign certificate", "get", "access_denied: ", Go),
    ("expired certificate", "get", "unknown certificate", Go),
    ("wrong secret", "get", "Bad credentials", Go),
    ("token", "set a name with a space", "name", Both),
    ("token", "generate under what is not there", "authority", Both),
];

pub fn wrong(program: Program, outcomes: &Outcomes) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (by, calls, _) in CALLERS.iter().filter(|(_, _, who)| who.is_for(program)) {
        for (call, status, _) in calls.iter().filter(|(_, _, who)| who.is_for(program)) {
            count += 1;
            let outcome = outcomes.of(by, call);
            if !is_as_wanted(program, outcome, *status) {
                wrong.push(format!("{call} by {by} is not {status}: {}", shortened(outcome)));
            }
        }
    }
    for (by, call, words, _) in WORDS.iter().filter(|(_, _, _, who)| who.is_for(program)) {
        let outcome = outcomes.of(by, call);
        if !outcome["error"]["text"].as_str().is_some_and(|text| text.contains(words)) {
            wrong.push(format!("{call} by {by} does not say {words:?}: {}", shortened(outcome)));
        }
    }
    if outcomes.0.len() != count {
        wrong.push(format!("{} calls were made, {count} are known here", outcomes.0.len()));
    }
    wrong
}

fn is_as_wanted(program: Program, outcome: &Value, status: u16) -> bool {
    let last = outcome["statuses"].as_array().and_then(|all| all.last()).and_then(Value::as_u64).unwrap_or_default();
    let kind = outcome["error"]["type"].as_str();
    let is_right = match (program, status) {
        (_, 200..300) => kind.is_none(),
        (Program::Go, 404) => kind == Some("NotFoundError"),
        // Without words in the answer, the library has none either.
        (Program::Go, 0 | 403) => kind.is_some(),
        (Program::Go, _) => matches!(kind, Some("Error" | "other")),
        (Program::Spring, 0) => kind == Some("ResourceAccessException"),
        (Program::Spring, _) => kind == Some("CredHubException"),
    };
    last == u64::from(status) && is_right
}

fn shortened(outcome: &Value) -> String {
    let text = outcome.to_string();
    text.chars().take(600).collect()
}
