//! Subjects of certificates, and which of them name a caller: patterns such as `OU=app:{guid}`. Knows nothing of X.509's
//! encoding or of chains.

use std::fmt;
use std::str::FromStr;

use uuid::{Uuid, Variant, Version};

/// What a part of a subject says; all others name nobody here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    OrganizationalUnit,
    CommonName,
}

impl Attribute {
    pub const ALL: [Self; 2] = [Self::OrganizationalUnit, Self::CommonName];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrganizationalUnit => "OU",
            Self::CommonName => "CN",
        }
    }
}

/// The parts of a subject in their order. One part may say several things at once, whose order means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject(pub Vec<Vec<(Attribute, String)>>);

impl Subject {
    /// What the first part with this attribute says of it; of several values the least one. CredHub takes that part alone:
    /// whoever puts another after it names nobody with it.
    fn first(&self, attribute: Attribute) -> Option<&str> {
        self.0.iter().find_map(|part| {
            part.iter().filter(|(known, _)| *known == attribute).map(|(_, value)| value.as_str()).min()
        })
    }
}

/// What stands for the part that differs from caller to caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    /// A random UUID in small letters, as Cloud Foundry gives one to each application.
    Guid,
    /// Letters, digits and `-_.`.
    Name,
}

impl Hole {
    const ALL: [Self; 2] = [Self::Guid, Self::Name];

    fn as_str(self) -> &'static str {
        match self {
            Self::Guid => "{guid}",
            Self::Name => "{name}",
        }
    }

    fn takes(self, text: &str) -> bool {
        match self {
            Self::Guid => {
                let is_random =
                    |uuid: &Uuid| uuid.get_version() == Some(Version::Random) && uuid.get_variant() == Variant::RFC4122;
                // Written anew: as it stands there, in small letters and with its four hyphens.
                let uuid = Uuid::try_parse(text).ok().filter(is_random);
                uuid.is_some_and(|uuid| uuid.hyphenated().to_string() == text)
            }
            Self::Name => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                (1..=NAME_LIMIT).contains(&text.len()) && text.bytes().all(plain)
            }
        }
    }
}

const NAME_LIMIT: usize = 128;

/// A text with one hole or none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    before: String,
    hole: Option<Hole>,
    after: String,
}

impl Template {
    fn parse(text: &str) -> Option<Self> {
        let found = Hole::ALL.into_iter().find_map(|hole| Some((hole, text.split_once(hole.as_str())?)));
        let (before, hole, after) = match found {
            Some((hole, (before, after))) => (before, Some(hole), after),
            None => (text, None, ""),
        };
        let plain = |text: &str| !text.chars().any(|letter| letter.is_control() || "{}".contains(letter));
        let fits = !text.is_empty() && text.len() <= NAME_LIMIT && plain(before) && plain(after);
        fits.then(|| Self { before: before.to_owned(), hole, after: after.to_owned() })
    }

    /// What fills the hole; empty where there is none.
    fn matches<'a>(&self, text: &'a str) -> Option<&'a str> {
        let within = text.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        let fits = self.hole.map_or(within.is_empty(), |hole| hole.takes(within));
        fits.then_some(within)
    }

    fn fill(&self, with: &str) -> String {
        format!("{}{with}{}", self.before, self.after)
    }
}

/// Which subjects name a caller, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    attribute: Attribute,
    value: Template,
    actor: Template,
}

impl Pattern {
    /// `pattern` is such as `OU=app:{guid}`, `actor` such as `mtls-app:{guid}`.
    pub fn parse(pattern: &str, actor: &str) -> Result<Self, String> {
        let (attribute, value) = pattern.split_once('=').ok_or("is not such as OU=app:{guid}")?;
        let attribute: Attribute = attribute.parse()?;
        let value = Template::parse(value).ok_or("needs a text after = with at most one {guid} or {name}")?;
        let actor = Template::parse(actor).ok_or("has an actor that is no text with at most one {guid} or {name}")?;
        if actor.hole != value.hole {
            return Err("and its actor must both have {guid}, or {name}, or neither".into());
        }
        Ok(Self { attribute, value, actor })
    }

    /// The name of the caller, if the subject fits.
    pub fn actor(&self, subject: &Subject) -> Option<String> {
        let with = self.value.matches(subject.first(self.attribute)?)?;
        Some(self.actor.fill(with))
    }
}

/// Applications of Cloud Foundry, as CredHub names them.
impl Default for Pattern {
    fn default() -> Self {
        let template = |before: &str| Template { before: before.into(), hole: Some(Hole::Guid), after: String::new() };
        Self { attribute: Attribute::OrganizationalUnit, value: template("app:"), actor: template("mtls-app:") }
    }
}

impl FromStr for Attribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| "must begin with OU= or CN=".into())
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Attribute::{CommonName as CN, OrganizationalUnit as OU};

    const APP: &str = "app:a12345e5-b2b0-4648-a0d0-772d3d399dcb";

    fn named(parts: &[&[(Attribute, &str)]]) -> Option<String> {
        let part = |part: &&[(Attribute, &str)]| part.iter().map(|(known, value)| (*known, (*value).into())).collect();
        Pattern::default().actor(&Subject(parts.iter().map(part).collect()))
    }

    #[test]
    fn an_application_is_known_by_the_first_unit_alone() {
        let app = Some(format!("mtls-{APP}"));
        for (parts, expected) in [
            (&[&[(OU, APP)][..]][..], app.clone()),
            (&[&[(CN, "x")], &[(OU, APP)]], app.clone()),
            (&[&[(OU, APP)], &[(OU, "other")]], app.clone()),
            (&[&[(OU, "other")], &[(OU, APP)]], None),
            // As in Cloud Foundry's instance identities, in whatever order.
            (&[&[(OU, "space:1"), (OU, "organization:2"), (OU, APP)]], app.clone()),
            (&[&[(OU, APP), (CN, "x")]], app),
            (&[&[(OU, "aaa"), (OU, APP)]], None),
            (&[&[(CN, APP)]], None),
            (&[], None),
        ] {
            assert_eq!(named(parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn only_a_whole_random_uuid_in_small_letters_names_an_application() {
        for value in [
            "app:",
            "app:A12345E5-B2B0-4648-A0D0-772D3D399DCB",
            "app:a12345e5-b2b0-1648-a0d0-772d3d399dcb",
            "app:a12345e5-b2b0-4648-c0d0-772d3d399dcb",
            "app:a12345e5b2b04648a0d0772d3d399dcb",
            "app:{a12345e5-b2b0-4648-a0d0-772d3d399dcb}",
            "app:urn:uuid:a12345e5-b2b0-4648-a0d0-772d3d399dcb",
            " app:a12345e5-b2b0-4648-a0d0-772d3d399dcb",
            "app:a12345e5-b2b0-4648-a0d0-772d3d399dcb ",
            "app:a12345e5-b2b0-4648-a0d0-772d3d399dcb\n",
            "xapp:a12345e5-b2b0-4648-a0d0-772d3d399dcb",
            "APP:a12345e5-b2b0-4648-a0d0-772d3d399dcb",
        ] {
            assert_eq!(named(&[&[(OU, value)]]), None, "{value:?}");
        }
    }

    #[test]
    fn other_patterns_are_as_they_are_written() {
        let actor = |pattern: &str, actor: &str, attribute, value: &str| {
            Pattern::parse(pattern, actor).unwrap().actor(&Subject(vec![vec![(attribute, value.to_owned())]]))
        };
        assert_eq!(actor("CN={name}.svc", "mtls-app:{name}", CN, "till.svc").as_deref(), Some("mtls-app:till"));
        assert_eq!(actor("CN={name}.svc", "mtls-app:{name}", CN, ".svc"), None);
        assert_eq!(actor("OU=ops", "mtls-app:ops", OU, "ops").as_deref(), Some("mtls-app:ops"));
        assert_eq!(actor("OU=ops", "mtls-app:ops", OU, "opsx"), None);
        for (pattern, actor) in [
            ("app:{guid}", "a:{guid}"),
            ("O=app:{guid}", "a:{guid}"),
            ("ou=app:{guid}", "a:{guid}"),
            ("OU=", "a"),
            ("OU=x", ""),
            ("OU={guid}", "a:{name}"),
            ("OU={guid}", "a"),
            ("OU={guid}{guid}", "a:{guid}"),
            ("OU={guid}{name}", "a:{guid}"),
            ("OU={who}", "a:{guid}"),
        ] {
            assert!(Pattern::parse(pattern, actor).is_err(), "{pattern} {actor}");
        }
    }
}
