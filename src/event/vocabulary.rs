//! The event names and properties that the rules use, numbered, so that the rest of a record can be dropped.

use rustc_hash::FxHashMap;

/// An event name that some rule uses, by number; or `OTHER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u16);

impl NameId {
    /// A name that no rule uses.
    pub const OTHER: Self = Self(u16::MAX);
}

/// A property that some rule uses, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyId(pub u16);

impl PropertyId {
    /// Marks the values of a list among an event's properties.
    const IN_A_LIST: u16 = 1 << 15;

    /// The id of the values of this property where it is a list.
    #[must_use]
    pub fn in_a_list(self) -> Self {
        Self(self.0 | Self::IN_A_LIST)
    }

    /// Is it the id of values of a list?
    #[must_use]
    pub fn is_in_a_list(self) -> bool {
        self.0 & Self::IN_A_LIST != 0
    }

    /// The id of the property itself.
    #[must_use]
    pub fn alone(self) -> Self {
        Self(self.0 & !Self::IN_A_LIST)
    }
}

/// Built once from the rules; read by the codec for every record.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    names: FxHashMap<Box<str>, NameId>,
    properties: FxHashMap<Box<str>, PropertyId>,
    /// The marks of all properties: most of a record's properties have another, and need not be looked up.
    marks: u64,
}

/// One bit that is quickly computed from a name.
#[inline]
fn mark(name: &[u8]) -> u64 {
    let (first, last) = (name.first().copied().unwrap_or(0), name.last().copied().unwrap_or(0));
    1 << ((usize::from(first) + 5 * usize::from(last) + 11 * name.len()) % 64)
}

impl Vocabulary {
    /// The number of `name`, which is added if it is new.
    ///
    /// # Panics
    /// With 65,535 names or more; a rules file is refused long before.
    pub fn add_name(&mut self, name: &str) -> NameId {
        let next = NameId(u16::try_from(self.names.len()).expect("a rules file names fewer than 65,535 events"));
        assert!(next != NameId::OTHER, "a rules file names fewer than 65,535 events");
        *self.names.entry(name.into()).or_insert(next)
    }

    /// The number of `property`, which is added if it is new.
    ///
    /// # Panics
    /// With more than 32,767 properties.
    pub fn add_property(&mut self, property: &str) -> PropertyId {
        let next = PropertyId(u16::try_from(self.properties.len()).expect("a rules file names few properties"));
        assert!(!next.is_in_a_list(), "a rules file names fewer than 32,768 properties");
        self.marks |= mark(property.as_bytes());
        *self.properties.entry(property.into()).or_insert(next)
    }

    /// The number of `name`, or `OTHER`.
    #[must_use]
    pub fn name(&self, name: &str) -> NameId {
        self.names.get(name).copied().unwrap_or(NameId::OTHER)
    }

    /// The number of `property`, if any rule uses it.
    #[must_use]
    pub fn property(&self, property: &str) -> Option<PropertyId> {
        self.properties.get(property).copied()
    }

    /// The same for a name as it is in a record.
    #[inline]
    #[must_use]
    pub fn property_of(&self, property: &[u8]) -> Option<PropertyId> {
        if self.marks & mark(property) == 0 {
            return None;
        }
        self.property(std::str::from_utf8(property).ok()?)
    }

    /// The numbers of all names.
    pub fn names(&self) -> impl Iterator<Item = NameId> {
        self.names.values().copied()
    }

    /// Adds every name and property of `other`; known ones keep their numbers.
    pub fn absorb(&mut self, other: &Self) {
        let mut names: Vec<(&str, NameId)> = other.names.iter().map(|(name, id)| (&**name, *id)).collect();
        names.sort_unstable_by_key(|(_, id)| *id);
        for (name, _) in names {
            self.add_name(name);
        }
        for property in other.properties() {
            self.add_property(property);
        }
    }

    /// The properties in the order of their numbers.
    #[must_use]
    pub fn properties(&self) -> Vec<&str> {
        let mut properties: Vec<(&str, PropertyId)> = self.properties.iter().map(|(name, id)| (&**name, *id)).collect();
        properties.sort_unstable_by_key(|(_, id)| *id);
        properties.into_iter().map(|(name, _)| name).collect()
    }

    /// The name with a number. A linear scan, for texts only.
    #[must_use]
    pub fn name_of(&self, id: NameId) -> Option<&str> {
        self.names.iter().find(|(_, known)| **known == id).map(|(name, _)| &**name)
    }

    /// The same of a property.
    #[must_use]
    pub fn property_name(&self, id: PropertyId) -> Option<&str> {
        self.properties.iter().find(|(_, known)| **known == id).map(|(name, _)| &**name)
    }

    /// How many event names the rules use; their numbers are below this.
    #[must_use]
    pub fn names_len(&self) -> usize {
        self.names.len()
    }
}
