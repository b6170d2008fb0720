//! Command lines in the documents: the program is there and takes these arguments.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use super::blocks::{Block, all, root};

/// The commands of a block, each as its words. No expansion: `$NAME` stays as it is.
pub fn commands(block: &Block) -> Vec<Vec<String>> {
    let joined = block.text.replace("\\\n", " ");
    let mut commands = Vec::new();
    for line in joined.lines() {
        let mut words: Vec<String> = Vec::new();
        for word in split(line) {
            match word.as_str() {
                "|" | "||" | "&&" | ";" | "&" => commands.push(std::mem::take(&mut words)),
                _ => words.push(word),
            }
        }
        commands.push(words);
    }
    commands.retain(|words| !words.is_empty());
    commands
}

/// The words of a line, as a shell splits them.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is not closed: {line}");
    words.extend(word);
    words
}

/// What shells do themselves, and programs that only the blocks which are run may use.
const SHELL: &[&str] = &["export", "set", ".", "cd", "umask", "chmod", "read"];
const ONLY_RUN: &[&str] = &["psql", "createdb", "printf", "echo", "pg_dump", "pg_restore"];

#[test]
fn every_command_exists_and_takes_its_arguments() {
    let mut wrong = Vec::new();
    for block in all().into_iter().filter(|block| block.language == "bash") {
        for words in commands(&block) {
            // `NAME=value program` sets a variable for one program.
            let mut words = words.iter().map(String::as_str).skip_while(|word| is_assignment(word));
            let Some(program) = words.next() else { continue };
            let args: Vec<&str> = words.take_while(|word| !word.starts_with(['>', '<'])).collect();
            let verdict = match program {
                _ if program.starts_with("bin/") => script(program, &args),
                "tenantry" => tenantry(&args),
                "cargo" => cargo(&args),
                "curl" => Ok(()), // `queries` runs it
                _ if SHELL.contains(&program) => Ok(()),
                _ if ONLY_RUN.contains(&program) && block.note("run").is_some() => Ok(()),
                _ => Err("is not a command that this test knows; mark the block as text".to_owned()),
            };
            if let Err(problem) = verdict {
                wrong.push(format!("{block}: {program} {}: {problem}", args.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

fn script(program: &str, args: &[&str]) -> Result<(), String> {
    let file = root().join(program);
    let is_executable = file.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
    if !is_executable {
        return Err("is not an executable file".to_owned());
    }
    if program == "bin/test" {
        let known =
            Command::new(&file).arg("--list").stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let known = String::from_utf8_lossy(&known.stdout).into_owned();
        return match args.iter().find(|arg| **arg != "--list" && !known.lines().any(|name| name == **arg)) {
            Some(arg) => Err(format!("has no check {arg}")),
            None => Ok(()),
        };
    }
    if program == "bin/dev" {
        let args: Vec<&str> = ["dev"].into_iter().chain(args.iter().copied()).collect();
        return tenantry(&args);
    }
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    match args.iter().find(|arg| !text.contains(**arg)) {
        Some(arg) => Err(format!("does not know {arg}")),
        None => Ok(()),
    }
}

/// `--help` behind the arguments: the parser has read them all by then, and nothing runs.
fn tenantry(args: &[&str]) -> Result<(), String> {
    let done = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(args)
        .arg("--help")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

fn cargo(args: &[&str]) -> Result<(), String> {
    match args {
        ["test", "--locked", "--test", "it", ..] | ["test", "--test", "it", ..] => {
            // The filter must find something.
            let filter = args.iter().skip_while(|arg| **arg != "it").nth(1);
            let tests = root().join("tests/it");
            match filter {
                Some(filter) if !tests.join(filter).exists() => Err(format!("there is no folder tests/it/{filter}")),
                _ => Ok(()),
            }
        }
        ["build" | "test" | "run" | "clippy" | "doc" | "fmt", ..] => Ok(()),
        _ => Err("is not a command that this test knows".to_owned()),
    }
}

#[test]
fn a_line_is_split_as_a_shell_does() {
    let text = "A=1 tenantry migrate \\\n  up # now\ncurl -d '{\"a\": \"b c\"}' \"x y\" | psql\n".to_owned();
    let block = Block { path: String::new(), line: 1, language: "bash".to_owned(), notes: Vec::new(), text };
    let expected: [&[&str]; 3] =
        [&["A=1", "tenantry", "migrate", "up"], &["curl", "-d", "{\"a\": \"b c\"}", "x y"], &["psql"]];
    assert_eq!(commands(&block), expected);
}
