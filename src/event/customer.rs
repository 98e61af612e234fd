//! One event of a customer, as the engine sees it.

use super::{Instant, NameId, PropertyId, Value};

/// Maximum number of bytes of a customer's id, which is the key of records and part of every key in the databases. Ids
/// are shorter; one of this size is another field by mistake.
pub const CUSTOMER_BYTES_MAX: usize = 1_024;
/// Maximum number of bytes of an event's name, and of its id: both are repeated in every change that the event causes.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Maximum number of values of one list; further values count as unusable.
pub const LISTED_MAX: usize = 64;

/// The properties that the rules use, in the order read; buffer and event borrow from the record.
pub type Properties<'a> = Vec<(PropertyId, Value<'a>)>;

/// One event, borrowed from the record that carried it.
#[derive(Debug, Clone, Copy)]
pub struct CustomerEvent<'a> {
    pub customer: &'a str,
    /// The event's name as sent.
    pub name: &'a str,
    /// The same name in the rules' vocabulary.
    pub name_id: NameId,
    pub at: Instant,
    /// The sender's id of this event, if there is one.
    pub id: Option<&'a str>,
    pub source: Option<&'a str>,
    /// A hash of the record as sent; stands in for a missing id.
    pub record_hash: u64,
    /// Number of values that could not be represented (not-a-number, infinite, too large) and count as missing.
    pub unusable_values: u32,
    /// Only what the rules use; each property at most once, except for the values of a list, each of which has the id
    /// [`PropertyId::in_a_list`].
    pub properties: &'a [(PropertyId, Value<'a>)],
}

impl<'a> CustomerEvent<'a> {
    /// The values of a property that is a list; none if it is not.
    pub fn listed(&self, property: PropertyId) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (properties, listed) = (self.properties, property.in_a_list());
        properties.iter().filter(move |(id, _)| *id == listed).map(|(_, value)| *value)
    }

    /// The value of a property, unless missing, null or a list.
    #[must_use]
    pub fn property(&self, property: PropertyId) -> Option<Value<'a>> {
        self.properties.iter().find(|(id, _)| *id == property).map(|(_, value)| *value)
    }
}
