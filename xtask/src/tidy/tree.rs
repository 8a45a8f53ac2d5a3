//! The files of the workspace as a person would commit them.
//!
//! Git is not asked: a copy without its history must be checkable too. What `.gitignore` names is left out.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Every file, by path.
pub(super) struct Tree {
    pub(super) files: Vec<SourceFile>,
}

pub(super) struct SourceFile {
    /// From the workspace's root, with `/`.
    pub(super) path: String,
    /// Nothing if it is not text.
    pub(super) text: Option<String>,
}

impl SourceFile {
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.name().rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let rules = fs::read_to_string(root.join(".gitignore")).context("cannot read .gitignore")?;
        let ignored = Ignored::parse(&rules)?;
        let mut tree = Self { files: Vec::new() };
        tree.enter(root, "", &ignored)?;
        tree.files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(tree)
    }

    pub(super) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// `inside` is empty or ends with `/`. Links are not followed: what they lead to is listed where it is.
    fn enter(&mut self, folder: &Path, inside: &str, ignored: &Ignored) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let path = format!("{inside}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if path == ".git" || ignored.covers(&path) {
                continue;
            }
            if kind.is_dir() {
                self.enter(&entry.path(), &format!("{path}/"), ignored)?;
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
                self.files.push(SourceFile { path, text: String::from_utf8(bytes).ok() });
            }
        }
        Ok(())
    }
}

/// The three forms of `.gitignore` lines we use: `/path` from the root, `*.extension` and `name` anywhere.
struct Ignored {
    paths: Vec<String>,
    endings: Vec<String>,
    names: Vec<String>,
}

impl Ignored {
    fn parse(rules: &str) -> Result<Self> {
        let mut ignored = Self { paths: Vec::new(), endings: Vec::new(), names: Vec::new() };
        for line in rules.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let plain = line.trim_end_matches('/');
            if let Some(path) = plain.strip_prefix('/').filter(|path| !path.contains('*')) {
                ignored.paths.push(path.to_owned());
            } else if let Some(ending) = plain.strip_prefix('*').filter(|ending| !ending.contains(['*', '/'])) {
                ignored.endings.push(ending.to_owned());
            } else if !plain.contains(['*', '/', '!', '?', '[']) {
                ignored.names.push(plain.to_owned());
            } else {
                bail!(".gitignore: tidy does not read lines like {line}: write it as /path, *.extension or name");
            }
        }
        Ok(ignored)
    }

    fn covers(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        self.paths.iter().any(|ignored| ignored == path)
            || self.names.iter().any(|ignored| ignored == name)
            || self.endings.iter().any(|ending| name.ends_with(ending.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::Ignored;

    #[test]
    fn ignored_files_are_those_gitignore_names() {
        let ignored = Ignored::parse("# builds\n/target\n*.db\nnode_modules/\n").unwrap();
        for path in ["target", "a/b.db", "web/node_modules"] {
            assert!(ignored.covers(path), "{path}");
        }
        for path in ["src/target", "a/b.dbx", "a/database"] {
            assert!(!ignored.covers(path), "{path}");
        }
    }

    #[test]
    fn a_rule_we_cannot_read_is_refused() {
        assert!(Ignored::parse("!kept.db").is_err());
        assert!(Ignored::parse("/a/*/b").is_err());
    }
}
