//! When a credential is due for another value, as its tags say.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// Nothing is due where nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    pub maximum_days: Option<u32>,
    pub days_by_tag: BTreeMap<String, u32>,
    /// Credentials with one of these tags are never due.
    pub excluded_tags: Vec<String>,
}

impl Rotation {
    /// The shortest of the times that apply, after the last change of the value.
    pub fn due(&self, tags: &[String], rotated_at: Timestamp) -> Option<Timestamp> {
        if tags.iter().any(|tag| self.excluded_tags.contains(tag)) {
            return None;
        }
        let of_tags = tags.iter().filter_map(|tag| self.days_by_tag.get(tag));
        let days = of_tags.chain(&self.maximum_days).min()?;
        rotated_at.checked_add(SignedDuration::from_hours(24 * i64::from(*days))).ok()
    }

    /// Every tag that has a meaning, in order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags: std::collections::BTreeSet<&str> =
            self.days_by_tag.keys().chain(&self.excluded_tags).map(String::as_str).collect();
        tags.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn due(tags: &[&str], rotation: &Rotation) -> Option<SignedDuration> {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        rotation.due(&tags, Timestamp::UNIX_EPOCH).map(|at| at.duration_since(Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn the_shortest_time_that_applies_counts() {
        let rotation = Rotation {
            maximum_days: Some(90),
            days_by_tag: [("hot".into(), 7), ("cold".into(), 365)].into(),
            excluded_tags: vec!["manual".into()],
        };
        assert_eq!(due(&[], &rotation), Some(DAY * 90));
        assert_eq!(due(&["hot", "cold"], &rotation), Some(DAY * 7));
        assert_eq!(due(&["cold"], &rotation), Some(DAY * 90));
        assert_eq!(due(&["hot", "manual"], &rotation), None);
        assert_eq!(rotation.tags().collect::<Vec<_>>(), ["cold", "hot", "manual"]);
    }

    #[test]
    fn nothing_is_due_where_nothing_is_set() {
        assert_eq!(due(&["hot"], &Rotation::default()), None);
    }
}
