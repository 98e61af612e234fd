//! What the lane of partition 0 still has to publish.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::lane::summaries::updates::DailySurvey;
use crate::store::KeyValue;

/// Results that are not published yet: the newest record of each key.
#[derive(Default)]
pub(in crate::lane) struct Unpublished {
    pub(in crate::lane) records: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(in crate::lane) whole: Option<Arc<DailySurvey>>,
}

impl Unpublished {
    pub(in crate::lane) fn put(&mut self, (key, value): KeyValue) {
        self.records.insert(key, value);
    }

    pub(in crate::lane) fn put_whole(&mut self, whole: Arc<DailySurvey>) {
        self.whole = Some(whole);
    }
}
