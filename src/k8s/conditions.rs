//! Conditions in kstatus's vocabulary: `Ready` always; `Reconciling`, `Stalled` and `RotationDue` only
//! while they are true. A condition whose status stays the same keeps the time of its last change.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::k8s::failure::{Failure, Next};

pub const READY: &str = "Ready";
pub const RECONCILING: &str = "Reconciling";
pub const STALLED: &str = "Stalled";
pub const ROTATION_DUE: &str = "RotationDue";

/// Reasons of `Ready` when all is well.
pub const REASON_READY: &str = "Ready";
pub const REASON_EXPIRED: &str = "Expired";

/// The life of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Life {
    /// Two thirds of it.
    pub fn due(&self) -> Timestamp {
        let life: SignedDuration = self.not_before.duration_until(self.not_after);
        self.not_before + life * 2 / 3
    }

    /// The next moment at which the conditions change.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        [self.due(), self.not_after].into_iter().find(|at| *at > now)
    }
}

/// Why a certificate that is valid should be replaced all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub reason: &'static str,
    pub message: String,
}

/// What the conditions have to say.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The message says what is there; the life that of the certificate, if one ends and is not renewed by itself.
    Settled {
        message: String,
        life: Option<Life>,
        due: Option<Due>,
    },
    Failed(Failure),
}

/// How a verdict reads as `Ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub ready: bool,
    pub reason: &'static str,
    pub message: String,
}

impl Verdict {
    pub fn ready(&self, now: Timestamp) -> Ready {
        match self {
            Self::Settled { life: Some(life), .. } if life.not_after <= now => Ready {
                ready: false,
                reason: REASON_EXPIRED,
                message: format!("the certificate expired at {}: make a new one", life.not_after),
            },
            Self::Settled { message, .. } => Ready { ready: true, reason: REASON_READY, message: message.clone() },
            Self::Failed(failure) => Ready { ready: false, reason: failure.reason, message: failure.message.clone() },
        }
    }

    /// The conditions, given those of before.
    pub fn conditions(&self, generation: Option<i64>, before: &[Condition], now: Timestamp) -> Vec<Condition> {
        let ready = self.ready(now);
        let mut wanted = vec![(READY, ready.ready, ready.reason, ready.message.clone())];
        match self {
            Self::Failed(failure) => {
                let other = if failure.next == Next::Edit { STALLED } else { RECONCILING };
                wanted.push((other, true, ready.reason, ready.message));
            }
            Self::Settled { life: Some(life), .. } if life.not_after <= now => {
                wanted.push((STALLED, true, ready.reason, ready.message));
            }
            Self::Settled { due: Some(due), .. } => {
                wanted.push((ROTATION_DUE, true, due.reason, due.message.clone()));
            }
            Self::Settled { life: Some(life), .. } if life.due() <= now => {
                let message =
                    format!("two thirds of the certificate's life are over; it expires at {}", life.not_after);
                wanted.push((ROTATION_DUE, true, "TwoThirdsOver", message));
            }
            Self::Settled { .. } => {}
        }
        let condition = |(type_, status, reason, message): (&str, bool, &str, String)| {
            let status = if status { "True" } else { "False" }.to_owned();
            let same = before.iter().find(|known| known.type_ == type_ && known.status == status);
            Condition {
                type_: type_.to_owned(),
                last_transition_time: same.map_or(Time(now), |known| known.last_transition_time.clone()),
                status,
                reason: reason.to_owned(),
                message: shortened(message),
                observed_generation: generation,
            }
        };
        wanted.into_iter().map(condition).collect()
    }
}

/// The API server takes 32 KiB; nobody reads that much.
fn shortened(message: String) -> String {
    const LIMIT: usize = 2000;
    match message.char_indices().nth(LIMIT) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message,
    }
}

pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn types(conditions: &[Condition]) -> Vec<(&str, &str)> {
        conditions.iter().map(|it| (it.type_.as_str(), it.status.as_str())).collect()
    }

    fn settled(life: Option<Life>) -> Verdict {
        Verdict::Settled { message: "Secret db shows revision 1".into(), life, due: None }
    }

    fn failed(next: Next) -> Verdict {
        Verdict::Failed(Failure::new(next, "Why", "because"))
    }

    #[test]
    fn ready_stands_alone_when_all_is_well() {
        let conditions = settled(None).conditions(Some(3), &[], at(5));
        assert_eq!(types(&conditions), [("Ready", "True")]);
        assert_eq!(conditions[0].observed_generation, Some(3));
    }

    #[test]
    fn who_acts_next_decides_between_stalled_and_reconciling() {
        for (next, other) in [(Next::Edit, "Stalled"), (Next::Wait, "Reconciling"), (Next::Retry, "Reconciling")] {
            let conditions = failed(next).conditions(None, &[], at(5));
            assert_eq!(types(&conditions), [("Ready", "False"), (other, "True")]);
        }
    }

    #[test]
    fn the_time_of_a_change_is_kept_until_the_status_changes() {
        let first = failed(Next::Edit).conditions(None, &[], at(5));
        let second = failed(Next::Retry).conditions(None, &first, at(9));
        assert_eq!(second[0].last_transition_time, Time(at(5)));
        assert_eq!(second[1].last_transition_time, Time(at(9)));
        let third = settled(None).conditions(None, &second, at(12));
        assert_eq!(third[0].last_transition_time, Time(at(12)));
    }

    #[test]
    fn a_certificate_is_due_after_two_thirds_and_not_ready_after_its_end() {
        let life = Life { not_before: at(0), not_after: at(90) };
        let types_at = |now| types(&settled(Some(life)).conditions(None, &[], at(now))).len();
        assert_eq!((types_at(59), life.next_change(at(59))), (1, Some(at(60))));
        let due = settled(Some(life)).conditions(None, &[], at(60));
        assert_eq!(types(&due), [("Ready", "True"), ("RotationDue", "True")]);
        assert_eq!(life.next_change(at(60)), Some(at(90)));
        let over = settled(Some(life)).conditions(None, &[], at(90));
        assert_eq!(types(&over), [("Ready", "False"), ("Stalled", "True")]);
        assert_eq!(life.next_change(at(90)), None);
    }

    #[test]
    fn a_certificate_can_be_due_before_its_time_and_still_ends() {
        let due = Some(Due { reason: "ParentReplaced", message: "because".into() });
        let life = Some(Life { not_before: at(0), not_after: at(90) });
        let replaced = Verdict::Settled { message: "m".into(), life, due };
        for now in [10, 70] {
            let conditions = replaced.conditions(None, &[], at(now));
            assert_eq!(types(&conditions), [("Ready", "True"), ("RotationDue", "True")]);
            assert_eq!(conditions[1].reason, "ParentReplaced");
        }
        assert_eq!(types(&replaced.conditions(None, &[], at(90))), [("Ready", "False"), ("Stalled", "True")]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = Verdict::Failed(Failure::edit("Why", "ü".repeat(5000)));
        assert_eq!(long.conditions(None, &[], at(0))[0].message.chars().count(), 2001);
    }
}
