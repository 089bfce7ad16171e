//! Random histories against a naive model: the same answers, and after each step the same objects.

use super::{picture, services};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uos_vfs::{Error, FileSystem, ObjectFs, Result};

#[derive(Clone, Debug)]
enum Step {
    Create(String),
    Write(String, usize),
    Read(String),
    Delete(String),
    MakeDir(String),
    RemoveDir(String),
    Cut(String),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[abc]", 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => path().prop_map(Step::Create),
        3 => (path(), 0..2000_usize).prop_map(|(path, len)| Step::Write(path, len)),
        2 => path().prop_map(Step::Read),
        3 => path().prop_map(Step::Delete),
        4 => path().prop_map(Step::MakeDir),
        3 => path().prop_map(Step::RemoveDir),
        1 => path().prop_map(Step::Cut),
    ]
}

/// Content of files, nothing of directories.
#[derive(Default)]
struct Naive(BTreeMap<String, Option<Vec<u8>>>);

impl Naive {
    /// What is at a path, once all above it are directories.
    fn look(&self, path: &str) -> Result<Option<&Option<Vec<u8>>>> {
        let above = path.char_indices().skip(1).filter(|(_, char)| *char == '/').map(|(at, _)| &path[..at]);
        for dir in above {
            match self.0.get(dir) {
                None => return Err(Error::NotFound),
                Some(Some(_)) => return Err(Error::NotADirectory),
                Some(None) => {}
            }
        }
        Ok(self.0.get(path))
    }

    fn file(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.look(path)? {
            Some(None) => Err(Error::IsADirectory),
            Some(Some(content)) => Ok(Some(content.clone())),
            None => Ok(None),
        }
    }

    fn make(&mut self, path: &str, what: Option<Vec<u8>>) -> Result<()> {
        if self.look(path)?.is_some() {
            return Err(Error::Exists);
        }
        self.0.insert(path.to_owned(), what);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<Vec<u8>> {
        match step {
            Step::Create(path) => self.make(path, Some(Vec::new()))?,
            Step::Write(path, len) => {
                self.file(path)?;
                self.0.insert(path.clone(), Some(vec![7; *len]));
            }
            Step::Read(path) => return self.file(path)?.ok_or(Error::NotFound),
            Step::Delete(path) => {
                self.file(path)?.ok_or(Error::NotFound)?;
                self.0.remove(path);
            }
            Step::MakeDir(path) => self.make(path, None)?,
            Step::RemoveDir(path) => {
                if self.look(path)?.ok_or(Error::NotFound)?.is_some() {
                    return Err(Error::NotADirectory);
                }
                let below = format!("{path}/");
                if self.0.keys().any(|other| other.starts_with(&below)) {
                    return Err(Error::NotEmpty);
                }
                self.0.remove(path);
            }
            Step::Cut(path) => {
                self.file(path)?.ok_or(Error::NotFound)?;
                self.0.insert(path.clone(), Some(Vec::new()));
            }
        }
        Ok(Vec::new())
    }
}

fn ask(fs: &ObjectFs, step: &Step) -> Result<Vec<u8>> {
    match step {
        Step::Create(path) => fs.create(path, 0o644)?,
        Step::Write(path, len) => fs.write(path, vec![7; *len])?,
        Step::Read(path) => return fs.read(path),
        Step::Delete(path) => fs.delete(path)?,
        Step::MakeDir(path) => fs.make_dir(path, 0o755)?,
        Step::RemoveDir(path) => fs.remove_dir(path)?,
        Step::Cut(path) => fs.truncate(path, 0)?,
    }
    Ok(Vec::new())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn objects_are_what_a_naive_model_says(steps in prop::collection::vec(step(), 1..60)) {
        for (name, operator, _dir) in services() {
            let (fs, mut naive) = (ObjectFs::new(operator).unwrap(), Naive::default());
            for step in &steps {
                prop_assert_eq!(ask(&fs, step), naive.step(step), "{} on {}", format!("{step:?}"), name);
            }
            let all: Vec<_> = naive.0.into_iter().collect();
            prop_assert_eq!(picture(&fs, ""), all, "on {}", name);
        }
    }
}
