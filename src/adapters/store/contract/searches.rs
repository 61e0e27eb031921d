//! Searches by what is in names, held against looking at all names.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::*;
use crate::adapters::store::name_key;

/// Short, so that parts are found; with what means something to databases, and letters of more than one byte.
const LETTERS: [&str; 14] = ["a", "b", "A", "c", "/", "_", "%", "*", "'", "\"", "\\", "é", "É", "😀"];
/// More than are looked through without an index.
const MANY: usize = 450;

/// Numbers that look random and are the same each time (Marsaglia's xorshift).
pub(in crate::adapters::store) struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Dice {
    pub(in crate::adapters::store) fn below(&mut self, end: usize) -> usize {
        for (left, by) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left { self.0 << by } else { self.0 >> by };
        }
        ((self.0 >> 11) % end as u64) as usize
    }

    fn word(&mut self, least: usize, most: usize) -> String {
        let length = least + self.below(most - least + 1);
        (0..length).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }

    /// Of a name, or of nothing.
    fn part(&mut self, names: &[String]) -> String {
        let name: Vec<char> = names[self.below(names.len())].chars().collect();
        let start = self.below(name.len());
        let end = (start + 1 + self.below(6)).min(name.len());
        let part: String = name[start..end].iter().collect();
        match self.below(8) {
            0 => self.word(1, 4),
            1 => part.to_ascii_uppercase(),
            2 => String::new(),
            _ => part,
        }
    }
}

/// What the store must hold, by id.
#[derive(Default)]
pub(in crate::adapters::store) struct Model(BTreeMap<usize, (Append, bool)>);

fn numbered(number: usize, name: &str, expected: u64) -> Append {
    let class = if number.is_multiple_of(10) { Class::Service } else { Class::Credential };
    let mut append = revision(class, 0, name, expected);
    append.row.head.id = RecordId::from_bytes((number as u128).to_be_bytes());
    append.row.stamp.version_id = VersionId::from_bytes((number as u128 * 1000 + u128::from(expected)).to_be_bytes());
    append
}

impl Model {
    fn names(&self) -> Vec<String> {
        self.0.values().map(|(append, _)| append.row.head.name.clone()).collect()
    }

    /// Names that are nobody's, ignoring case.
    fn new_names(&self, dice: &mut Dice, number: usize) -> Vec<String> {
        let mut taken: HashSet<String> = self.names().iter().map(|name| name_key(name)).collect();
        let mut names = Vec::new();
        while names.len() < number {
            let name = format!("/{}", dice.word(3, 12));
            if taken.insert(name_key(&name)) {
                names.push(name);
            }
        }
        names
    }

    pub(in crate::adapters::store) async fn add(&mut self, store: &dyn Adapter, dice: &mut Dice, number: usize) {
        let first = self.0.keys().last().map_or(0, |last| last + 1);
        let names = self.new_names(dice, number);
        let appends: Vec<_> = (first..).zip(names).map(|(number, name)| (number, numbered(number, &name, 0))).collect();
        let writes = appends.iter().map(|(_, append)| store.append(append.clone()));
        futures::future::try_join_all(writes).await.unwrap();
        self.0.extend(appends.into_iter().map(|(number, append)| (number, (append, false))));
    }

    async fn rename(&mut self, store: &dyn Adapter, dice: &mut Dice) {
        let name = self.new_names(dice, 1).remove(0);
        let number = self.any(dice);
        let (old, released) = self.0.get_mut(&number).unwrap();
        let next = numbered(number, &name, old.row.stamp.number.0);
        store.append(next.clone()).await.unwrap();
        (*old, *released) = (next, false);
    }

    async fn release(&mut self, store: &dyn Adapter, dice: &mut Dice) {
        let number = self.any(dice);
        let (append, released) = self.0.get_mut(&number).unwrap();
        store.release(&[append.row.head.id], release(0)).await.unwrap();
        *released = true;
    }

    async fn forget(&mut self, store: &dyn Adapter, number: usize) {
        let (append, _) = self.0.remove(&number).unwrap();
        let head = append.row.head;
        let row = store.find(head.class, Key::Ids(&[head.id])).await.unwrap().remove(0);
        let forget = Change::Forget { id: head.id, name: head.name, was: row.mac };
        store.carry_out(keyring(), forget).await.unwrap();
    }

    fn any(&self, dice: &mut Dice) -> usize {
        *self.0.keys().nth(dice.below(self.0.len())).unwrap()
    }

    pub(in crate::adapters::store) async fn change(&mut self, store: &dyn Adapter, dice: &mut Dice) {
        for _ in 0..30 {
            self.rename(store, dice).await;
            self.release(store, dice).await;
            let any = self.any(dice);
            self.forget(store, any).await;
        }
        // A store may give the place of the last ones to the next.
        for _ in 0..5 {
            self.forget(store, *self.0.keys().last().unwrap()).await;
        }
        self.add(store, dice, 40).await;
    }

    fn expected(&self, class: Class, names: Names<'_>, after: Option<&str>, limit: usize) -> Vec<String> {
        let (prefix, part) = (name_key(names.prefix), name_key(names.part));
        let from = after.map(name_key).unwrap_or_default().max(prefix.clone());
        let heads = self.0.values().filter(|(_, released)| !released).map(|(append, _)| &append.row.head);
        let named = heads.filter(|head| head.class == class).map(|head| (name_key(&head.name), head.name.clone()));
        let wanted = named.filter(|(key, _)| key.starts_with(&prefix) && *key > from && key.contains(&part));
        wanted.collect::<BTreeMap<_, _>>().into_values().take(limit).collect()
    }

    pub(in crate::adapters::store) async fn judge(&self, store: &dyn Adapter, dice: &mut Dice, times: usize) {
        let names = self.names();
        let mut found = 0;
        for _ in 0..times {
            let part = dice.part(&names);
            let any = &names[dice.below(names.len())];
            let prefix: String = any.chars().take([0, 0, 1, 2, 3][dice.below(5)]).collect();
            let after = (dice.below(4) == 0).then(|| names[dice.below(names.len())].as_str());
            let limit = [3, 1000, usize::MAX][dice.below(3)];
            let class = if dice.below(10) == 0 { Class::Service } else { Class::Credential };
            let wanted = Names { prefix: &prefix, part: &part };
            let rows = store.list(class, wanted, after, limit).await.unwrap();
            let listed: Vec<String> = rows.into_iter().map(|row| row.head.name).collect();
            assert_eq!(listed, self.expected(class, wanted, after, limit), "{wanted:?} after {after:?}");
            found += listed.len();
        }
        assert!(found > times, "{found} found in {times} searches");
    }
}

pub(super) async fn any_part_of_any_name_is_found_whatever_was_written(store: Arc<dyn Adapter>) {
    store.begin().await;
    let (mut model, mut dice) = (Model::default(), Dice::default());
    model.add(&*store, &mut dice, MANY).await;
    for _ in 0..3 {
        model.judge(&*store, &mut dice, 40).await;
        // What a store does behind its writes may be done by then, or not: its answers are the same.
        tokio::time::sleep(Duration::from_millis(60)).await;
        model.judge(&*store, &mut dice, 40).await;
        model.change(&*store, &mut dice).await;
    }
    model.judge(&*store, &mut dice, 40).await;
}
