//! Scripts of XMPP: who sends what, who gets what, on Hallway and on other servers. `conformance/xmpp/README.md` teaches the language.
//!
//! In reading order: [`sentence`] is the grammar, [`pattern`] XML with blanks, [`session`] sorts what arrives, [`stage`] plays a story,
//! [`world`] is the server that it is played against, [`prosody`] starts another one than ours.

pub mod pattern;
pub mod prosody;
pub mod sentence;
pub mod session;
pub mod stage;
pub mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

use sentence::Sentence;
use world::Kind;

/// A sentence and where it stands.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// The line's number.
    pub line: usize,
    /// As written.
    pub text: String,
    /// The only server that it is for.
    pub only: Option<Kind>,
    /// What it means.
    pub sentence: Sentence,
}

/// A story: it is played against a server of its own.
#[derive(Debug, Clone)]
pub struct Story {
    /// What it shows.
    pub title: String,
    /// The only server that it is for.
    pub only: Option<Kind>,
    /// Its sentences.
    pub sentences: Vec<Spoken>,
}

/// A file of stories.
#[derive(Debug, Clone)]
pub struct Script {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its stories, in order.
    pub stories: Vec<Story>,
}

impl Script {
    /// The file's name without `.txt`.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Story {
    /// Everybody who has to have an account, without those whom the operator makes.
    #[must_use]
    pub fn people(&self) -> BTreeSet<String> {
        let mut people = BTreeSet::new();
        for spoken in &self.sentences {
            if let Sentence::Deed(who, _) = &spoken.sentence {
                people.extend(who.iter().map(|who| who.split('/').next().unwrap_or_default().to_owned()));
            }
        }
        let staff = self.staff();
        people.retain(|name| !staff.contains(name));
        people
    }

    /// Those whom the operator makes.
    #[must_use]
    pub fn staff(&self) -> BTreeSet<String> {
        let staff = self.sentences.iter().filter_map(|spoken| match &spoken.sentence {
            Sentence::Staff(name) => Some(name.clone()),
            _ => None,
        });
        staff.collect()
    }
}

/// All scripts of the directory, by name.
///
/// # Errors
/// When one of them cannot be read or parsed.
pub fn load_all(directory: &Path) -> Result<Vec<Script>> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths.iter().map(|path| load(path)).collect()
}

fn load(path: &Path) -> Result<Script> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let stories = parse(&text).map_err(|(line, error)| anyhow!("{}:{line}: {error:#}", path.display()))?;
    Ok(Script { path: path.to_owned(), stories })
}

/// A line with those that are indented below it.
struct Group {
    line: usize,
    text: String,
    indented: String,
}

fn groups(text: &str) -> Result<Vec<Group>, (usize, anyhow::Error)> {
    let mut groups: Vec<Group> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        if text.starts_with(char::is_whitespace) {
            let Some(group) = groups.last_mut() else { return Err((line, anyhow!("an indented line under nothing"))) };
            // White space between lines is no part of the XML; within a tag it parts the attributes.
            let within_tag = group.indented.rfind('<') > group.indented.rfind('>');
            group.indented.push_str(if within_tag { " " } else { "" });
            group.indented.push_str(text.trim());
        } else {
            groups.push(Group { line, text: text.trim_end().to_owned(), indented: String::new() });
        }
    }
    Ok(groups)
}

fn parse(text: &str) -> Result<Vec<Story>, (usize, anyhow::Error)> {
    let mut stories: Vec<Story> = Vec::new();
    // Whether what is for one server alone has been explained.
    let mut explained = false;
    for Group { line, text, indented } in groups(text)? {
        let at = |error| (line, error);
        let (only, said) = Kind::of_prefix(&text);
        if let Some(title) = said.strip_prefix("story ") {
            stories.push(Story { title: title.trim().to_owned(), only, sentences: Vec::new() });
            explained = only.is_none();
            // A story for one server alone begins with why.
            continue;
        }
        let Some(story) = stories.last_mut() else { return Err(at(anyhow!("a file begins with 'story TITLE'"))) };
        let sentence = sentence::parse(said, &indented).map_err(at)?;
        let differs = matches!(sentence, Sentence::Differs(_));
        if (only.is_some() || (story.only.is_some() && story.sentences.is_empty())) && !differs && !(explained && only.is_some()) {
            return Err(at(anyhow!("what is for one server alone needs a 'differs:' before it")));
        }
        if only.is_none() {
            explained = differs;
        }
        story.sentences.push(Spoken { line, text: said.to_owned(), only, sentence });
    }
    Ok(stories)
}

/// What a story showed.
#[derive(Debug, Default)]
pub struct Played {
    /// Sentences played.
    pub sentences: usize,
    /// Where servers differ: line and explanation.
    pub differences: Vec<(usize, String)>,
}

/// Plays a story against a server of its own.
///
/// # Errors
/// `file:line`, the sentence, what was expected and what came.
pub fn play(script: &Script, story: &Story, kind: Kind) -> Result<Played> {
    let name = script.path.file_name().unwrap_or_default().to_string_lossy();
    ensure!(!story.sentences.is_empty(), "{name}: nothing is said in '{}'", story.title);
    let mut played = Played::default();
    for spoken in &story.sentences {
        if let Sentence::Differs(why) = &spoken.sentence {
            played.differences.push((spoken.line, why.clone()));
        }
    }
    if story.only.is_some_and(|only| only != kind) {
        return Ok(played);
    }
    let world = world::World::start(kind, &story.people(), &story.staff()).with_context(|| format!("{name}: {}", story.title))?;
    let mut stage = stage::Stage::new(&world);
    for spoken in &story.sentences {
        if spoken.only.is_some_and(|only| only != kind) {
            continue;
        }
        played.sentences += 1;
        stage.play(&spoken.sentence).map_err(|error| anyhow!("{name}:{}: {}\n  {error:#}\n{}", spoken.line, spoken.text, world.log()))?;
    }
    Ok(played)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_repository_parses() {
        let scripts = load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("xmpp")).expect("scripts");
        let stories: usize = scripts.iter().map(|script| script.stories.len()).sum();
        assert!(scripts.len() > 25 && stories > 80, "only {stories} stories in {} scripts", scripts.len());
    }

    #[test]
    fn differences_are_explained() {
        assert!(parse("story x\nalice connects\nhallway: alice binds\n").is_err());
        let stories = parse("story x\ndiffers: They do.\nhallway: alice binds\nprosody: alice connects\nbob connects\n").expect("stories");
        assert_eq!(stories[0].sentences.iter().filter(|spoken| spoken.only.is_some()).count(), 2);
        assert_eq!(stories[0].people().len(), 2);
        assert!(parse("hallway: story x\nalice connects\n").is_err());
        assert!(parse("hallway: story x\ndiffers: It does.\nalice connects\n").is_ok());
    }

    #[test]
    fn lines_within_a_tag_stay_apart() {
        let stories = parse("story x\nalice sends\n  <a b='1'\n    c='2'>\n    <d/>\n  </a>\n").expect("stories");
        assert!(
            matches!(&stories[0].sentences[0].sentence, Sentence::Deed(_, sentence::Deed::Sends(xml)) if xml == "<a b='1' c='2'><d/></a>")
        );
    }
}
