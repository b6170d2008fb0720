//! Brings flags, environment and file together.

use std::{collections::HashMap, env, ffi::OsString, fmt, fs, io, path::PathBuf};

use clap::{Arg, Args, Command, CommandFactory, FromArgMatches, error::ErrorKind};

use super::Everything;

/// The environment variable of every setting but two begins with this.
const PREFIX: &str = "TENANTRY_";

/// The settings file that is read when no other is named.
const DEFAULT_FILE: &str = "tenantry.toml";

/// Where settings come from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The command line, beginning with the program's name.
    pub args: Vec<OsString>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// The folder in which `tenantry.toml` is looked for.
    pub folder: PathBuf,
}

impl Inputs {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { args: env::args_os().collect(), variables: env::vars_os().collect(), folder: PathBuf::from(".") }
    }
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag on the command line.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A key of the settings file.
    File(PathBuf, String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "the flag --{name}"),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::File(file, key) => write!(f, "the key `{key}` in {}", file.display()),
        }
    }
}

/// Why the settings will not do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not about a setting: an unknown command, a missing argument, or `--help`, which clap prints itself.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// A name that no setting has.
    #[error("{origin} has the value {value}, but there is no such setting. {}", advice(nearest.as_deref()))]
    Unknown {
        /// Where.
        origin: Origin,
        /// The value, or `<hidden>`.
        value: String,
        /// The name that may have been meant.
        nearest: Option<String>,
    },
    /// A value that does not fit.
    #[error("{origin} has the value {value}: {expected}")]
    Malformed {
        /// Where.
        origin: Origin,
        /// The value, or `<hidden>`.
        value: String,
        /// What would fit.
        expected: String,
    },
    /// A settings file that cannot be read.
    #[error("cannot read the settings file {} (named by {named_by})", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What named it.
        named_by: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A settings file that is not TOML. The text is not repeated, for it may hold secrets.
    #[error("the settings file {} is not valid TOML in line {line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("Did you mean {name}?"),
        None => "`tenantry serve --help` lists every setting.".to_owned(),
    }
}

/// Parses a command line whose commands contain groups of settings from [`super`].
///
/// Values of the environment and the file become the defaults of the flags, so clap alone decides what wins. Each is
/// tried by itself first: that names the place of a wrong one, and finds it even if a flag would hide it.
///
/// # Errors
/// [`ConfigError`].
pub fn load<C: CommandFactory + FromArgMatches>(inputs: &Inputs) -> Result<C, ConfigError> {
    let catalogue = Catalogue::new();
    let mut values = HashMap::new();
    for found in catalogue.in_file(inputs)?.into_iter().chain(catalogue.in_environment(inputs)?) {
        catalogue.check(&found)?;
        values.insert(found.id, found.value);
    }
    let command = catalogue.teach(C::command(), &values);
    let mut matches = command.try_get_matches_from(&inputs.args).map_err(|error| catalogue.describe(error))?;
    Ok(C::from_arg_matches_mut(&mut matches)?)
}

/// A value of the environment or the file.
struct Found {
    id: String,
    origin: Origin,
    value: String,
}

/// Every setting there is.
struct Catalogue(Command);

impl Catalogue {
    fn new() -> Self {
        let mut command =
            Everything::augment_args(Command::new("settings").no_binary_name(true).disable_help_flag(true));
        command.build();
        Self(command)
    }

    fn settings(&self) -> impl Iterator<Item = &Arg> {
        self.0.get_arguments()
    }

    fn find(&self, id: &str) -> Option<&Arg> {
        self.settings().find(|arg| arg.get_id() == id)
    }

    /// A setting whose value `--help` must not show is one whose value nothing must show.
    fn is_secret(&self, id: &str) -> bool {
        self.find(id).is_some_and(Arg::is_hide_env_values_set)
    }

    fn in_environment(&self, inputs: &Inputs) -> Result<Vec<Found>, ConfigError> {
        let mut found = Vec::new();
        for (name, value) in &inputs.variables {
            let Some(name) = name.to_str() else { continue };
            let setting = self.settings().map(|arg| arg.get_id().as_str()).find(|id| variable(id) == name);
            let origin = Origin::Variable(name.to_owned());
            match setting {
                Some(id) => {
                    found.push(Found { id: id.to_owned(), origin, value: value.to_string_lossy().into_owned() });
                }
                None if name.starts_with(PREFIX) && name != variable("config") => {
                    let names = self.settings().map(|arg| variable(arg.get_id().as_str()));
                    return Err(self.unknown(origin, &value.to_string_lossy(), nearest(name, names)));
                }
                None => {}
            }
        }
        Ok(found)
    }

    fn in_file(&self, inputs: &Inputs) -> Result<Vec<Found>, ConfigError> {
        let Some((file, text)) = read_file(inputs)? else { return Ok(Vec::new()) };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            line: error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1),
            message: error.message().to_owned(),
            file: file.clone(),
        })?;
        let mut found = Vec::new();
        for (key, value) in table {
            let origin = Origin::File(file.clone(), key.clone());
            if self.find(&key).is_none() {
                let names = self.settings().map(|arg| arg.get_id().as_str().to_owned());
                return Err(self.unknown(origin, &value.to_string(), nearest(&key, names)));
            }
            match plain(&value) {
                Some(value) => found.push(Found { id: key, origin, value }),
                None => {
                    let value = self.shown(&key, &value.to_string());
                    let expected = "expected a text, a number, true or false, or a list of texts".to_owned();
                    return Err(ConfigError::Malformed { origin, value, expected });
                }
            }
        }
        Ok(found)
    }

    /// Tries one value by itself.
    fn check(&self, found: &Found) -> Result<(), ConfigError> {
        let flag = format!("--{}={}", flag(&found.id), found.value);
        match self.0.clone().try_get_matches_from([flag]) {
            Ok(_) => Ok(()),
            Err(error) => Err(ConfigError::Malformed {
                origin: found.origin.clone(),
                value: self.shown(&found.id, &found.value),
                expected: expectation(&error),
            }),
        }
    }

    /// Gives the command's settings their values as defaults and names their variables in the help.
    fn teach(&self, command: Command, values: &HashMap<String, String>) -> Command {
        command
            .mut_args(|arg| {
                let id = arg.get_id().to_string();
                if self.find(&id).is_none() {
                    return arg;
                }
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let arg = arg.help(format!("{help} [env: {}]", variable(&id)));
                match values.get(&id) {
                    Some(value) => arg.default_value(value.clone()),
                    None => arg,
                }
            })
            .mut_subcommands(|command| self.teach(command, values))
    }

    /// clap's error, unless it is about the value of a setting: that one is told our way, for clap would print secrets.
    fn describe(&self, error: clap::Error) -> ConfigError {
        use clap::error::{ContextKind, ContextValue};
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            _ => None,
        };
        if let (ErrorKind::ValueValidation, Some(arg)) = (error.kind(), text(ContextKind::InvalidArg)) {
            let name = arg.trim_start_matches("--").split([' ', '=', '[']).next().unwrap_or_default().to_owned();
            let id = name.replace('-', "_");
            if self.find(&id).is_some() {
                let value = self.shown(&id, &text(ContextKind::InvalidValue).unwrap_or_default());
                return ConfigError::Malformed { origin: Origin::Flag(name), value, expected: expectation(&error) };
            }
        }
        ConfigError::Usage(error)
    }

    fn shown(&self, id: &str, value: &str) -> String {
        if self.is_secret(id) { "<hidden>".to_owned() } else { format!("`{value}`") }
    }

    /// The value of a name we do not know is shown only if the name sounds harmless.
    fn unknown(&self, origin: Origin, value: &str, nearest: Option<String>) -> ConfigError {
        let (Origin::Flag(name) | Origin::Variable(name) | Origin::File(_, name)) = &origin;
        let name = name.to_lowercase();
        let sounds_secret = ["key", "secret", "token", "pass", "url", "auth", "cred"].iter().any(|w| name.contains(w));
        let meant_secret = nearest.as_ref().is_some_and(|name| self.is_secret(&setting(name)));
        let value = if sounds_secret || meant_secret { "<hidden>".to_owned() } else { format!("`{value}`") };
        ConfigError::Unknown { origin, value, nearest }
    }
}

/// The text of the settings file: the named one, which must be there, or the default one if it is there.
fn read_file(inputs: &Inputs) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let variable = variable("config");
    let by_variable = || inputs.variables.iter().find(|(name, _)| *name == *variable).map(|(_, value)| value.clone());
    let (file, named_by) = match flag_value(&inputs.args, "--config") {
        Some(file) => (PathBuf::from(file), "--config"),
        None => match by_variable() {
            Some(file) => (PathBuf::from(file), "TENANTRY_CONFIG"),
            None => (inputs.folder.join(DEFAULT_FILE), "default"),
        },
    };
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some((file, text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named_by == "default" => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { file, named_by, source }),
    }
}

/// The value of a flag before anything is parsed.
fn flag_value(args: &[OsString], flag: &str) -> Option<OsString> {
    let mut args = args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == flag {
            return args.next().cloned();
        }
        if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix(flag)?.strip_prefix('=')) {
            return Some(value.into());
        }
    }
    None
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn expectation(error: &clap::Error) -> String {
    std::error::Error::source(error).map_or_else(|| "expected one value".to_owned(), ToString::to_string)
}

/// The flag of a setting, without the dashes in front.
fn flag(id: &str) -> String {
    id.replace('_', "-")
}

/// The environment variable of a setting.
fn variable(id: &str) -> String {
    match id {
        // The names that every tool for them knows.
        "database_url" | "redis_url" => id.to_uppercase(),
        _ => format!("{PREFIX}{}", id.to_uppercase()),
    }
}

/// The setting of a variable or a key.
fn setting(name: &str) -> String {
    name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase()
}

/// The known name that differs in the fewest letters, if it is near enough to have been meant.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known.map(|other| (distance(name, &other), other)).min().filter(|(far, _)| *far <= 3).map(|(_, other)| other)
}

/// The edit distance of Levenshtein.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
