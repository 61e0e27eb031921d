//! How much of a bulk regeneration is done at once, and how often: counted at the keymaker.

use strongroom::domain::authority::credhub::Parameters;
use strongroom::domain::{Error, Result};

use crate::credhub_races::{Race, admin, certificate, path};

const HANDS: usize = 3;
const SPARE: usize = 2;
const MIDDLE: [&str; 2] = ["/m0", "/m1"];
const LEAVES: usize = 8;

/// Two authorities below one, and below the first of them leaves.
async fn tree() -> Race {
    let race = Race::begin().await;
    race.other.make("/root", certificate("/root", None)).await;
    for name in MIDDLE {
        race.other.make(name, Parameters { is_ca: true, ..certificate(name, Some("/root")) }).await;
    }
    for leaf in leaves() {
        race.other.make(&leaf, certificate(&leaf, Some("/m0"))).await;
    }
    race
}

fn leaves() -> impl Iterator<Item = String> {
    (0..LEAVES).map(|n| format!("/z{n}"))
}

async fn bulk(race: &Race) -> Result<Vec<String>> {
    race.one.0.by_path.regenerate_signed_by(&admin(), &path("/root"), |_| ()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_side_by_side_as_far_as_there_are_hands_and_authorities_before_what_they_sign() {
    let race = tree().await;
    assert_eq!(bulk(&race).await.unwrap().len(), MIDDLE.len() + LEAVES);
    let (begun, ended, most) = race.keys.take();
    assert_eq!(most, HANDS + SPARE, "{begun:?}");
    for order in [&begun, &ended] {
        let (above, below) = order.split_at(MIDDLE.len());
        assert!(above.iter().all(|name| MIDDLE.contains(&name.as_str())), "{order:?}");
        assert_eq!(below.len(), LEAVES, "{order:?}");
    }
    let signer = race.one.current("/m0").await.unwrap().remove(0);
    for leaf in leaves() {
        let leaf = race.one.current(&leaf).await.unwrap().remove(0);
        assert_eq!(leaf.material().get("ca"), signer.material().get("certificate"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_made_is_named_and_what_has_not_begun_never_does() {
    let race = tree().await;
    for (refused, begun_at_most) in [("/z0", MIDDLE.len() + HANDS + SPARE), ("/m1", MIDDLE.len())] {
        race.keys.refuse(refused);
        let Err(Error::Invalid(violations)) = bulk(&race).await else { panic!("{refused} was made") };
        assert_eq!(violations[0].field, format!("{refused}: subject"));
        let (begun, _, _) = race.keys.take();
        assert!(begun.len() <= begun_at_most, "{begun:?}");
    }
    for name in ["/m0", "/m1", "/z0", "/z7"] {
        assert_eq!(race.one.current(name).await.unwrap()[0].revision().0, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_is_not_made_again_when_another_was_faster() {
    let race = tree().await;
    let other = race.other.clone();
    race.before_the_next_write(async move { drop(other.make("/z3", certificate("/z3", Some("/m0"))).await) });
    assert_eq!(bulk(&race).await.unwrap().len(), MIDDLE.len() + LEAVES);
    race.require_raced();
    let (begun, _, _) = race.keys.take();
    assert_eq!(begun.len(), MIDDLE.len() + LEAVES + 1, "{begun:?}");
    assert_eq!(begun.last().unwrap(), "/z3");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_its_turn_where_others_want_keys_too() {
    let race = tree().await;
    race.keys.fill_up();
    assert_eq!(bulk(&race).await.unwrap().len(), MIDDLE.len() + LEAVES);
    let (begun, _, _) = race.keys.take();
    assert_eq!(begun.len(), MIDDLE.len() + LEAVES + 1, "one twice: {begun:?}");
}
