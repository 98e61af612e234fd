//! The paths of all fields that the records of one topic have, as a tree.

use rustc_hash::FxHashMap;

use super::value::is_uuid;

/// The most fields of one topic; the others are counted.
pub const FIELDS_MAX: usize = 512;
/// The most members of one object that are kept apart; from then on their names are taken for data.
const MEMBERS_MAX: usize = 100;
/// From so many members on, they are found by a table instead of one after the other.
const TABLE_FROM: usize = 8;
/// The longest name of a member, in bytes: longer ones are data.
const NAME_MAX: usize = 64;

/// A node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FieldId(pub(super) u16);

/// The root of the values.
pub(super) const VALUE: FieldId = FieldId(0);
/// The root of the keys.
pub(super) const KEY: FieldId = FieldId(1);

/// One step from a field to one within it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Value,
    Key,
    Name(Box<str>),
    /// An element of a list.
    Element,
    /// A member whose name is data, such as an id.
    Any,
}

#[derive(Debug)]
struct Node {
    parent: FieldId,
    step: Step,
    members: Vec<(Box<str>, FieldId)>,
    /// The place of each member in the list, if there are many.
    table: FxHashMap<Box<str>, usize>,
    element: Option<FieldId>,
    any: Option<FieldId>,
    /// The member that probably comes next, since records of one writer have them in the same order.
    next: usize,
}

/// All fields.
#[derive(Debug)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    /// How often a field was met for which there is no room.
    left_out: u64,
}

impl Default for Paths {
    fn default() -> Self {
        let root = |own: FieldId, step| node(own, step);
        Self { nodes: vec![root(VALUE, Step::Value), root(KEY, Step::Key)], left_out: 0 }
    }
}

fn node(parent: FieldId, step: Step) -> Node {
    Node { parent, step, members: Vec::new(), table: FxHashMap::default(), element: None, any: None, next: 0 }
}

impl Paths {
    /// All fields, the two roots too.
    pub(super) fn all(&self) -> impl Iterator<Item = FieldId> + use<> {
        (0..self.nodes.len()).map(|place| FieldId(u16::try_from(place).unwrap_or(u16::MAX)))
    }

    /// How often a field was met for which there is no room.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The member of this name. `None`: there is no room for it.
    pub(super) fn member(&mut self, of: FieldId, name: &str) -> Option<FieldId> {
        let at = &mut self.nodes[usize::from(of.0)];
        if let Some((known, id)) = at.members.get(at.next)
            && **known == *name
        {
            at.next += 1;
            return Some(*id);
        }
        let place = if at.table.is_empty() {
            at.members.iter().position(|(known, _)| **known == *name)
        } else {
            at.table.get(name).copied()
        };
        if let Some(place) = place {
            at.next = place + 1;
            return Some(at.members[place].1);
        }
        if at.members.len() >= MEMBERS_MAX || is_data(name) {
            return match at.any {
                Some(any) => Some(any),
                None => {
                    let any = self.add(of, Step::Any)?;
                    self.nodes[usize::from(of.0)].any = Some(any);
                    Some(any)
                }
            };
        }
        let id = self.add(of, Step::Name(name.into()))?;
        let at = &mut self.nodes[usize::from(of.0)];
        at.members.push((name.into(), id));
        at.next = at.members.len();
        if !at.table.is_empty() {
            at.table.insert(name.into(), at.members.len() - 1);
        } else if at.members.len() > TABLE_FROM {
            at.table = at.members.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
        }
        Some(id)
    }

    /// The elements of a list. `None`: there is no room for them.
    pub(super) fn element(&mut self, of: FieldId) -> Option<FieldId> {
        if let Some(element) = self.nodes[usize::from(of.0)].element {
            return Some(element);
        }
        let element = self.add(of, Step::Element)?;
        self.nodes[usize::from(of.0)].element = Some(element);
        Some(element)
    }

    /// Does it lie in a list, or under a name that is data?
    pub(super) fn is_several(&self, mut id: FieldId) -> bool {
        loop {
            match &self.nodes[usize::from(id.0)].step {
                Step::Value | Step::Key => return false,
                Step::Element | Step::Any => return true,
                Step::Name(_) => id = self.nodes[usize::from(id.0)].parent,
            }
        }
    }

    /// Is it of a key?
    pub(super) fn is_of_key(&self, mut id: FieldId) -> bool {
        while id != VALUE && id != KEY {
            id = self.nodes[usize::from(id.0)].parent;
        }
        id == KEY
    }

    /// Its own name, and that of the field that it lies in; empty: it has none.
    pub(super) fn names(&self, id: FieldId) -> (&str, &str) {
        let name = |id: FieldId| match &self.nodes[usize::from(id.0)].step {
            Step::Name(name) => &**name,
            _ => "",
        };
        (name(id), name(self.nodes[usize::from(id.0)].parent))
    }

    /// How many steps lead to it.
    pub(super) fn depth(&self, mut id: FieldId) -> usize {
        let mut depth = 0;
        while id != VALUE && id != KEY {
            depth += 1;
            id = self.nodes[usize::from(id.0)].parent;
        }
        depth
    }

    /// As a sources file writes it, with `[]` for the elements of a list and `*` for names that are data.
    pub(super) fn text(&self, id: FieldId) -> String {
        let mut steps = Vec::new();
        let mut at = id;
        while at != VALUE && at != KEY {
            let node = &self.nodes[usize::from(at.0)];
            steps.push(&node.step);
            at = node.parent;
        }
        let mut text = String::from(if at == KEY { "key" } else { "" });
        for step in steps.into_iter().rev() {
            match step {
                Step::Element => text.push_str("[]"),
                Step::Any => text.push_str(if text.is_empty() { "*" } else { ".*" }),
                Step::Name(name) if is_plain(name) && !(text.is_empty() && BEGINNINGS.contains(&&**name)) => {
                    text.push_str(if text.is_empty() { "" } else { "." });
                    text.push_str(name);
                }
                Step::Name(name) => {
                    text.push_str(&format!("[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\"")));
                }
                Step::Value | Step::Key => {}
            }
        }
        text
    }

    fn add(&mut self, parent: FieldId, step: Step) -> Option<FieldId> {
        if self.nodes.len() >= FIELDS_MAX {
            self.left_out += 1;
            return None;
        }
        let id = FieldId(u16::try_from(self.nodes.len()).ok()?);
        self.nodes.push(node(parent, step));
        Some(id)
    }
}

/// Words that begin a path of another kind.
const BEGINNINGS: [&str; 3] = ["each", "key", "header"];

/// Can a path name it without quotes?
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'))
}

/// Is a name an id, an address or the like, rather than what its values have in common? Such names may be personal, and
/// there may be any number of them.
fn is_data(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    name.len() > NAME_MAX || name.contains('@') || digits >= 6 || digits > 0 && digits == name.len() || is_uuid(name)
}

#[cfg(test)]
mod tests {
    use super::{FIELDS_MAX, KEY, MEMBERS_MAX, Paths, VALUE};
    use crate::sources;

    #[test]
    fn a_field_is_written_as_sources_write_it() {
        let mut paths = Paths::default();
        let buyer = paths.member(VALUE, "buyer").unwrap();
        let id = paths.member(buyer, "id").unwrap();
        let odd = paths.member(buyer, "e \"mail\\").unwrap();
        let key = paths.member(VALUE, "key").unwrap();
        let of_key = paths.member(KEY, "id").unwrap();
        let lines = paths.member(VALUE, "lines").unwrap();
        let line = paths.element(lines).unwrap();
        let sku = paths.member(line, "sku").unwrap();
        let empty = paths.member(VALUE, "").unwrap();
        for (field, text) in [
            (id, "buyer.id"),
            (odd, r#"buyer["e \"mail\\"]"#),
            (key, r#"["key"]"#),
            (of_key, "key.id"),
            (sku, "lines[].sku"),
            (empty, r#"[""]"#),
        ] {
            assert_eq!(paths.text(field), text);
            assert_eq!(paths.is_several(field), field == sku);
            assert!(field == sku || sources::Path::parse(text).is_ok(), "{text}");
        }
        assert_eq!(paths.member(VALUE, "buyer"), Some(buyer), "a field is found again");
        assert_eq!((paths.names(id), paths.depth(sku)), (("id", "buyer"), 3));
        assert!(paths.is_of_key(of_key) && !paths.is_of_key(key));
    }

    #[test]
    fn names_that_are_data_are_one_field() {
        let mut paths = Paths::default();
        let seen = paths.member(VALUE, "seen").unwrap();
        let any = paths.member(seen, "jean@example.com").unwrap();
        for name in ["120345678", "7", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", &"x".repeat(65)] {
            assert_eq!(paths.member(seen, name), Some(any), "{name}");
        }
        assert_eq!(paths.text(any), "seen.*");
        assert!(paths.is_several(any));
        for number in 0..MEMBERS_MAX {
            assert_ne!(paths.member(seen, &format!("step_{number}")), Some(any));
        }
        assert_eq!(paths.member(seen, "one_more"), Some(any));
        assert_ne!(paths.member(seen, "step_99"), Some(any), "known ones stay apart");
    }

    #[test]
    fn there_is_an_end_to_the_fields() {
        let mut paths = Paths::default();
        let mut at = VALUE;
        while let Some(next) = paths.member(at, "x") {
            at = next;
        }
        assert_eq!((paths.nodes.len(), paths.left_out()), (FIELDS_MAX, 1));
    }
}
