//! Reasons of changes, dead letters and skipped records: the closed lists that outputs, headers and metrics share.

/// Defines an enum whose variants have fixed texts.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The text used on the wire, in headers and in metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use named;

named! {
    /// The reason of a change. Stored by its index in this list.
    ChangeReason {
        /// An event was applied at that instant.
        Event = "EVENT",
        /// Time alone.
        Time = "TIME",
        /// An event was applied that is older than the customer's clock.
        LateEvent = "LATE_EVENT",
        /// The customer is in another cohort of the group with a higher priority.
        Excluded = "EXCLUDED",
        /// The threshold of a rank changed.
        Threshold = "THRESHOLD",
        /// The rules were edited.
        DefinitionChanged = "DEFINITION_CHANGED",
        /// New parameters of the churn model came into force.
        ModelChanged = "MODEL_CHANGED",
    }
}

named! {
    /// Why a record went to the dead letters. Stored by its index in this list.
    DeadLetterReason {
        Undecodable = "undecodable",
        UnknownSchema = "unknown_schema",
        NoCustomer = "no_customer",
        WrongKey = "wrong_key",
        BadTime = "bad_time",
        Future = "future",
        TooLate = "too_late",
        Oversized = "oversized",
        /// The record's key is null.
        NoKey = "no_key",
    }
}

impl DeadLetterReason {
    /// What is wrong with the key of a customer's record, if anything, with a description.
    #[must_use]
    pub fn of_key(key: Option<&[u8]>, customer: &str) -> Option<(Self, &'static str)> {
        match key {
            Some(key) if key == customer.as_bytes() => None,
            Some(_) => Some((Self::WrongKey, "the key is not `customer_id`")),
            None => Some((Self::NoKey, "the key is null, and should be `customer_id`")),
        }
    }
}

named! {
    /// Why a record was skipped.
    SkipReason {
        /// A null value.
        Tombstone = "tombstone",
        /// Its id is among those remembered for this customer.
        Duplicate = "duplicate",
    }
}
