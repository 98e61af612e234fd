//! Each way in which `cohortd run` ends, with its exit code: what a supervisor and a person do about it. The table in
//! `docs/exit-codes.md` is this one.

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

    /// The exit code, as in BSD's sysexits: 78 only where starting again as it is cannot help.
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
            Self::Stopped => "SIGTERM or SIGINT; what was decided is committed",
            Self::Broken => {
                "an answer of a broker, of the system or of the process itself with which it must not go on"
            }
            Self::RegistryMadeAnew => "the schema registry gives the schemas of the outputs other ids than before",
            Self::StoppedAtOnce => "a second SIGTERM or SIGINT while it stopped",
            Self::Usage => "a command line that there is not",
            Self::Settings => "a setting that is unknown, out of its range, or contradicts another; an address in use",
            Self::Rules => {
                "a rules file with mistakes or that cannot be read, or a topic of rules that holds those of another group"
            }
            Self::Topics => {
                "a topic that is missing, has the wrong partitions or cleanup.policy, or that the brokers refuse to make"
            }
            Self::Access => {
                "brokers that refuse the password, the certificate or the permission, or whose certificate is refused"
            }
            Self::Registry => {
                "a schema registry that refuses the credentials or a schema, lacks one and is only read, or an address at which none answers"
            }
            Self::Twin => "another process with the same kafka.instance_id",
            Self::State => {
                "a state that does not fit the input (made anew, enlarged, trimmed), keys that are no customer ids, or a copy \
                 of another release"
            }
        }
    }

    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Stopped => "nothing",
            Self::Broken => "start it again; if it ends so again and again, read the line before the last",
            Self::RegistryMadeAnew => "start it again: it writes with the new ids",
            Self::StoppedAtOnce => "nothing: the next start repairs what was cut off",
            Self::Usage => "see `cohortd --help`",
            Self::Settings => "put right the setting that the line names",
            Self::Rules => "mend the mistakes, or name the file or the topic that is meant",
            Self::Topics => "create or change the topic that the line names, or name another",
            Self::Access => "put right kafka.options, or the cluster's users and access lists",
            Self::Registry => "put right the setting of [schemas] that the line names, or the registry",
            Self::Twin => "give each process a kafka.instance_id and a state.dir of its own",
            Self::State => "the command `cohortd reset` that the line names, or another of its ways on",
        }
    }
}
