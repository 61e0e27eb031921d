//! Who signed which certificate of an export, and in which order they can be set: authorities first. Looks at texts only;
//! whether a signature is right is found out when a certificate is set.

use std::collections::{HashMap, HashSet};

use crate::api::credhub::exported::Exported;
use crate::domain::name::Path;
use crate::domain::secret::SecretText;

/// What an entry says of its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Nothing, or it is no certificate.
    Unsaid,
    /// It has signed itself.
    Own,
    /// This entry, by its place in the list.
    Listed(usize),
    /// One of this name, which is not in the list.
    Named(Path),
    /// Whoever has one of these certificates, and is not in the list.
    Held(Vec<String>),
}

pub struct Order {
    /// Places in the list: those that need nobody, then those that need them, and so on.
    pub queue: Vec<usize>,
    /// Of each entry of the list.
    pub authorities: Vec<Authority>,
    /// Entries that need each other, or one that does.
    pub circles: HashSet<usize>,
}

const END: &str = "-----END CERTIFICATE-----";

/// Each certificate of a text, in its order.
fn certificates(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(END).map(str::trim).filter(|pem| pem.ends_with(END))
}

/// The same for the same certificate, wherever its lines end.
fn sign_of(pem: &str) -> String {
    pem.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Of the first certificate of a text.
pub fn sign(text: &SecretText) -> Option<String> {
    certificates(text.expose()).next().map(sign_of)
}

/// The first certificate, and those behind it if there are any.
pub fn split(ca: &SecretText) -> (SecretText, Option<String>) {
    let mut all = certificates(ca.expose());
    let first = all.next();
    let rest: Vec<&str> = all.collect();
    match first.filter(|_| !rest.is_empty()) {
        Some(first) => (SecretText::new(format!("{first}\n")), Some(format!("{}\n", rest.join("\n")))),
        None => (ca.clone(), None),
    }
}

impl Order {
    pub fn of(list: &[Exported]) -> Self {
        let authorities = authorities(list);
        let depths: Vec<Option<usize>> = (0..list.len()).map(|at| depth(&authorities, at)).collect();
        let circles = (0..list.len()).filter(|at| depths[*at].is_none()).collect();
        let mut queue: Vec<usize> = (0..list.len()).filter(|at| list[*at].credential.is_ok()).collect();
        // Stable: what is equally deep stays in the order of the list.
        queue.sort_by_key(|at| depths[*at]);
        Self { queue, authorities, circles }
    }
}

fn authorities(list: &[Exported]) -> Vec<Authority> {
    let paths =
        list.iter().enumerate().filter_map(|(at, entry)| Some((lower(&entry.credential.as_ref().ok()?.path), at)));
    let paths: HashMap<String, usize> = paths.collect();
    let mut signs: HashMap<String, usize> = HashMap::new();
    // One that has its key counts more than a copy without, then the first.
    for has_key in [true, false] {
        for (at, entry) in list.iter().enumerate() {
            let certificate = entry.certificate().filter(|it| it.private_key.is_some() == has_key);
            if let Some(sign) = certificate.and_then(|it| it.certificate.as_ref()).and_then(sign) {
                signs.entry(sign).or_insert(at);
            }
        }
    }
    list.iter().map(|entry| authority(entry, &paths, &signs)).collect()
}

fn authority(entry: &Exported, paths: &HashMap<String, usize>, signs: &HashMap<String, usize>) -> Authority {
    let (Some(certificate), Ok(credential)) = (entry.certificate(), &entry.credential) else {
        return Authority::Unsaid;
    };
    if let Some(name) = &certificate.ca_name {
        return match paths.get(&lower(name)) {
            _ if lower(name) == lower(&credential.path) => Authority::Own,
            Some(at) => Authority::Listed(*at),
            None => Authority::Named(name.clone()),
        };
    }
    let own = certificate.certificate.as_ref().and_then(sign);
    let said: Vec<String> = certificate.ca.iter().flat_map(|ca| certificates(ca.expose())).map(sign_of).collect();
    match said.iter().find_map(|sign| signs.get(sign)) {
        _ if said.is_empty() => Authority::Unsaid,
        _ if said.first() == own.as_ref() => Authority::Own,
        Some(at) => Authority::Listed(*at),
        None => Authority::Held(said),
    }
}

fn lower(path: &Path) -> String {
    path.as_str().to_ascii_lowercase()
}

/// How many stand above it; `None`: the way up never ends.
fn depth(authorities: &[Authority], mut at: usize) -> Option<usize> {
    let mut seen = HashSet::new();
    while let Authority::Listed(above) = authorities[at] {
        if !seen.insert(at) {
            return None;
        }
        at = above;
    }
    Some(seen.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::credhub::exported::read;

    fn pem(word: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{word}\n{END}\n")
    }

    fn order(entries: &[(&str, &str, &str, &str)]) -> (Vec<Exported>, Order) {
        let entry = |(name, field, ca, own): &(&str, &str, &str, &str)| {
            let value = serde_json::json!({ *field: ca, "certificate": own, "private_key": "k" });
            serde_json::json!({ "name": name, "type": "certificate", "value": value })
        };
        let all: Vec<_> = entries.iter().map(entry).collect();
        let list = read(&serde_json::json!({ "credentials": all }).to_string()).unwrap();
        let order = Order::of(&list);
        (list, order)
    }

    #[test]
    fn authorities_come_first_by_name_and_by_text() {
        let both = pem("middle") + &pem("other");
        let (list, order) = order(&[
            ("/leaf", "ca", &both, &pem("leaf")),
            ("/deep", "ca_name", "LEAF", &pem("deep")),
            ("/middle", "ca_name", "/root", &pem("middle")),
            ("/root", "ca", "", &pem("root")),
            ("/own", "ca", &pem("own").replace('\n', "\r\n"), &pem("own")),
            ("/far", "ca_name", "/elsewhere", &pem("far")),
            ("/held", "ca", &pem("stranger"), &pem("held")),
        ]);
        let queue: Vec<&str> = order.queue.iter().map(|at| list[*at].name.as_str()).collect();
        assert_eq!(queue, ["/root", "/own", "/far", "/held", "/middle", "/leaf", "/deep"]);
        use Authority::{Held, Listed, Named, Own, Unsaid};
        let far = Named(Path::parse("/elsewhere").unwrap());
        let expected = [Listed(2), Listed(0), Listed(3), Unsaid, Own, far, Held(vec![sign_of(&pem("stranger"))])];
        assert_eq!(order.authorities, expected);
        assert!(order.circles.is_empty());
    }

    #[test]
    fn the_signer_may_be_an_older_version_of_the_one_behind_it() {
        let (_, order) =
            order(&[("/leaf", "ca", &(pem("old") + &pem("new")), &pem("leaf")), ("/ca", "ca", "", &pem("new"))]);
        assert_eq!(order.authorities[0], Authority::Listed(1));
        let (first, rest) = split(&SecretText::new(pem("old") + &pem("new")));
        assert_eq!((first.expose(), rest), (pem("old").as_str(), Some(pem("new"))));
        assert_eq!(split(&SecretText::new(pem("one"))), (SecretText::new(pem("one")), None));
    }

    #[test]
    fn a_circle_and_what_hangs_on_it_are_found() {
        let (_, order) = order(&[
            ("/a", "ca_name", "/b", &pem("a")),
            ("/b", "ca_name", "/a", &pem("b")),
            ("/c", "ca_name", "/b", &pem("c")),
            ("/d", "ca", "", &pem("d")),
        ]);
        assert_eq!(order.circles, HashSet::from([0, 1, 2]));
    }
}
