//! The ways in which `cohortd run` ends, with their exit codes. The table in `docs/exit-codes.md` is the same.

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Stopped,
    Broken,
    RegistryMadeAnew,
    StoppedAtOnce,
    Usage,
    Settings,
    Rules,
    Topics,
    Access,
    Registry,
    Twin,
    State,
}

impl Ending {
    pub const ALL: [Self; 12] = [
        Self::Stopped,
        Self::Broken,
        Self::RegistryMadeAnew,
        Self::StoppedAtOnce,
        Self::Usage,
        Self::Settings,
        Self::Rules,
        Self::Topics,
        Self::Access,
        Self::Registry,
        Self::Twin,
        Self::State,
    ];

    /// For programs: the field `ending` of the last line of the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Broken => "broken",
            Self::RegistryMadeAnew => "registry_made_anew",
            Self::StoppedAtOnce => "stopped_at_once",
            Self::Usage => "usage",
            Self::Settings => "settings",
            Self::Rules => "rules",
            Self::Topics => "topics",
            Self::Access => "access",
            Self::Registry => "registry",
            Self::Twin => "twin",
            Self::State => "state",
        }
    }

    /// The exit code, as in BSD's sysexits: 78 only if starting again without a change cannot help.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Broken | Self::RegistryMadeAnew | Self::StoppedAtOnce => 1,
            Self::Usage => 64,
            Self::Settings | Self::Rules | Self::Topics | Self::Access | Self::Registry | Self::Twin | Self::State => {
                78
            }
        }
    }

    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::Stopped => "SIGTERM or SIGINT; everything decided is committed",
            Self::Broken => {
                "a failure of a broker, of the system or of the process itself after which it must not continue"
            }
            Self::RegistryMadeAnew => "the schema registry returns other ids for the output schemas than before",
            Self::StoppedAtOnce => "a second SIGTERM or SIGINT while it stopped",
            Self::Usage => "an invalid command line",
            Self::Settings => "a setting that is unknown, out of its range, or contradicts another; an address in use",
            Self::Rules => {
                "a rules file with mistakes or that cannot be read, or a topic of rules that holds those of another group"
            }
            Self::Topics => {
                "a topic that is missing, has the wrong partitions or cleanup.policy, or that the brokers refuse to create"
            }
            Self::Access => {
                "brokers that reject the password, the certificate or the permission, or whose certificate is not trusted"
            }
            Self::Registry => {
                "a schema registry that rejects the credentials or a schema, lacks one and is read-only, or an address without a registry"
            }
            Self::Twin => "another process with the same kafka.instance_id",
            Self::State => {
                "a state that does not match the input (recreated, enlarged, trimmed), keys that are not customer ids, or a copy of another release"
            }
        }
    }

    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Stopped => "nothing",
            Self::Broken => "start it again; if it keeps happening, read the second to last line",
            Self::RegistryMadeAnew => "start it again: it writes with the new ids",
            Self::StoppedAtOnce => "nothing: the next start recovers",
            Self::Usage => "see `cohortd --help`",
            Self::Settings => "correct the setting that the line names",
            Self::Rules => "correct the mistakes, or set the intended file or topic",
            Self::Topics => "create or change the topic that the line names, or set another one",
            Self::Access => "correct kafka.options, or the cluster's users and access lists",
            Self::Registry => "correct the setting of [schemas] that the line names, or the registry",
            Self::Twin => "give each process a kafka.instance_id and a state.dir of its own",
            Self::State => "run the `cohortd reset` command that the line names, or another of its options",
        }
    }
}
