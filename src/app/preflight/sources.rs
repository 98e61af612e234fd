//! The topics of sources, and those that they are gathered into.

use super::{ASK, Part, Preflight, Verdict};
use crate::app::sources_file;
use crate::app::topics::{self, OF_INPUT, denial, denied, denied_group, gathered};
use crate::gather::kafka_of;
use crate::kafka::Admin;
use crate::settings::Loaded;

impl Preflight {
    /// Checks the sources file, and the topics that gathering reads and writes. The number of partitions with which the
    /// events would be created; `None` without a usable sources file.
    pub(super) fn sources(&mut self, loaded: &Loaded, admin: &Admin) -> Option<i32> {
        let settings = &loaded.settings;
        let file = match sources_file::of_run(loaded) {
            Ok(Some(file)) => file,
            Ok(None) => return None,
            Err(failure) => {
                self.add(Part::Topics, "", Verdict::Wrong, failure.to_string());
                return None;
            }
        };
        let mut most = 1;
        for name in file.topics() {
            match admin.topic(&name, ASK) {
                Ok(Some(found)) => {
                    most = most.max(found.partitions);
                    self.add_topic(&name, &found, None, denial(&name, &denied(OF_INPUT, &found)));
                }
                Ok(None) => {
                    let text =
                        "the sources file names it, and it is not on this cluster; create it, or correct the name";
                    self.add(Part::Topics, &name, Verdict::Wrong, text);
                }
                Err(failure) => self.failed(Part::Topics, &name, &failure),
            }
        }
        let partitions = settings.topics.events_partitions.unwrap_or(most);
        for plan in gathered(&settings.topics, partitions) {
            match admin.topic(plan.name, ASK) {
                // The events are checked as the input.
                Ok(Some(_)) if plan.name == settings.topics.events => {}
                Ok(Some(found)) => {
                    let unfit = topics::unfit(&plan, &found, &found);
                    self.add_topic(plan.name, &found, unfit, denial(plan.name, &denied(plan.needs, &found)));
                }
                Ok(None) if settings.topics.create => self.would_be_created(admin, &plan, Some(plan.partitions)),
                Ok(None) => self.add(Part::Topics, plan.name, Verdict::Wrong, topics::missing(&plan)),
                Err(failure) => self.failed(Part::Topics, plan.name, &failure),
            }
        }
        let group = kafka_of(&settings.kafka, 0).group_id;
        if let Some(denied) = denied_group(admin, &group) {
            self.add(Part::Group, &group, Verdict::Wrong, topics::not_allowed(&denied));
        }
        Some(partitions)
    }
}
