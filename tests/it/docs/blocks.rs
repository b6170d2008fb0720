//! The fenced blocks of code in the documents.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// The root of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A document, by its path from the root.
pub struct Document {
    pub path: String,
    pub text: String,
}

/// README.md and everything under docs/.
pub fn documents() -> Vec<Document> {
    let mut paths = vec![root().join("README.md")];
    collect(&root().join("docs"), &mut paths);
    paths.sort();
    let read = |path: PathBuf| Document {
        text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        path: path.strip_prefix(root()).expect("under the root").display().to_string(),
    };
    paths.into_iter().map(read).collect()
}

/// The document with this path.
pub fn document(path: &str) -> Document {
    documents().into_iter().find(|document| document.path == path).unwrap_or_else(|| panic!("there is no {path}"))
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            into.push(path);
        }
    }
}

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    pub path: String,
    /// Of the opening fence, counted from 1.
    pub line: usize,
    /// The first word behind the fence.
    pub language: String,
    /// The others: what a test has to know about the block. They are not shown where Markdown is rendered.
    pub notes: Vec<String>,
    pub text: String,
}

impl Block {
    /// The value of the note `name=value`.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.iter().find_map(|note| note.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn has(&self, note: &str) -> bool {
        self.notes.iter().any(|one| one == note)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ({})", self.path, self.line, self.language)
    }
}

/// Every fenced block of a document, in order.
pub fn blocks(document: &Document) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (index, line) in document.text.lines().enumerate() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        open = match open.take() {
            None => content.strip_prefix("```").map(|info| {
                let mut words = info.split_whitespace().map(str::to_owned);
                let block = Block {
                    path: document.path.clone(),
                    line: index + 1,
                    language: words.next().unwrap_or_default(),
                    notes: words.collect(),
                    text: String::new(),
                };
                (block, indent)
            }),
            Some((block, _)) if content.trim_end() == "```" => {
                found.push(block);
                None
            }
            Some((mut block, indent)) => {
                // A block inside a list is indented as a whole.
                block.text.push_str(line.get(indent..).unwrap_or_default());
                block.text.push('\n');
                Some((block, indent))
            }
        };
    }
    assert!(open.is_none(), "{}: a block is not closed", document.path);
    found
}

/// Every fenced block of all documents.
pub fn all() -> Vec<Block> {
    documents().iter().flat_map(blocks).collect()
}

/// The document without its blocks: what is prose.
pub fn prose(document: &Document) -> String {
    let mut is_inside = false;
    let mut prose = String::new();
    for line in document.text.lines() {
        if line.trim_start().starts_with("```") {
            is_inside = !is_inside;
        } else if !is_inside {
            prose.push_str(line);
        }
        prose.push('\n');
    }
    prose
}

#[test]
fn blocks_are_found_with_their_notes_and_without_their_indent() {
    let text = "a\n```sql as=tenantry_app once\nSELECT 1;\n```\n- b\n  ```text\n  one\n    two\n  ```\n".to_owned();
    let found = blocks(&Document { path: "x.md".to_owned(), text });
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].line, found[0].language.as_str(), found[0].note("as")), (2, "sql", Some("tenantry_app")));
    assert!(found[0].has("once") && !found[0].has("as"));
    assert_eq!(found[1].text, "one\n  two\n");
}
