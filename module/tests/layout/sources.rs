//! The files of a crate, and which of them name items of which others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::slice;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// The path of a module from the root of the crate: `["httpd", "pool"]`.
type ModulePath = Vec<String>;

/// A file names an item that is defined in another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Where `from` does that.
    pub(crate) line: usize,
    /// What it names.
    pub(crate) name: String,
}

/// What a name stands for in a module. The first is meant where more of the path follows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    Module,
    /// An item or module with this path, as a `use` says.
    Alias(Name),
    Item,
}

/// A path as it is written, and where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    segments: Vec<String>,
    line: usize,
}

struct Module {
    file: String,
    /// A function may have the name of a module.
    names: BTreeMap<String, BTreeSet<Meaning>>,
    /// All paths in its code, except what it only re-exports.
    uses: Vec<Name>,
}

/// The modules of a crate that are not for its tests.
pub(crate) struct Sources {
    root: PathBuf,
    modules: BTreeMap<ModulePath, Module>,
}

impl Sources {
    /// Reads the crate whose root file is `lib.rs` in the folder `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let mut sources = Self {
            root: root.to_owned(),
            modules: BTreeMap::new(),
        };
        sources.read_file(Vec::new(), &root.join("lib.rs"));
        sources
    }

    /// The names of all files, relative to the root.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.modules.values().map(|module| &*module.file)
    }

    /// Every use of another file's items. A file of modules that re-exports an item does not use
    /// it, and who uses the re-export uses the file that defines the item.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (path, module) in &self.modules {
            for name in &module.uses {
                let Some(file) = self.definition(path, &name.segments) else {
                    continue;
                };
                if file != module.file {
                    edges.push(Edge {
                        from: module.file.clone(),
                        to: file.to_owned(),
                        line: name.line,
                        name: name.segments.join("::"),
                    });
                }
            }
        }
        edges.sort();
        edges.dedup_by(|edge, earlier| (&edge.from, &edge.to) == (&earlier.from, &earlier.to));
        edges
    }

    fn read_file(&mut self, path: ModulePath, file: &Path) {
        let text = fs::read_to_string(file).expect("a file of the crate can be read");
        let syntax = syn::parse_file(&text).expect("a file of the crate is Rust");
        let name = file.strip_prefix(&self.root).expect("below the root");
        self.read_items(path, &name.to_string_lossy(), &syntax.items);
    }

    fn read_items(&mut self, path: ModulePath, file: &str, items: &[Item]) {
        let mut module = Module {
            file: file.to_owned(),
            names: BTreeMap::new(),
            uses: Vec::new(),
        };
        for item in items {
            match item {
                Item::Mod(child) if !is_for_tests(&child.attrs) => {
                    let name = child.ident.to_string();
                    module.define(name.clone(), Meaning::Module);
                    let inner = [&path[..], &[name]].concat();
                    match &child.content {
                        Some((_, items)) => self.read_items(inner, file, items),
                        None => {
                            let file = self.root.join(inner.join("/")).with_extension("rs");
                            self.read_file(inner, &file);
                        }
                    }
                }
                Item::Use(item) if !is_for_tests(&item.attrs) => module.read_use(item),
                _ => module.read_item(item),
            }
        }
        self.modules.insert(path, module);
    }

    /// The file that defines what `name` stands for in a module; `None` if that is a module, or an
    /// item of another crate.
    fn definition(&self, from: &[String], name: &[String]) -> Option<&str> {
        let (first, rest) = name.split_first()?;
        match &**first {
            "crate" => self.member(&[], rest),
            "self" => self.member(from, rest),
            "super" => {
                let (_, parent) = from.split_last()?;
                self.definition(parent, &[&["self".to_owned()], rest].concat())
            }
            // A name of another crate is looked up in vain.
            _ => self.member(from, name),
        }
    }

    fn member(&self, of: &[String], name: &[String]) -> Option<&str> {
        let module = self.modules.get(of)?;
        let (first, rest) = name.split_first()?;
        if first == "super" {
            return self.definition(of, name);
        }
        let mut meanings = module.names.get(first)?.iter();
        meanings.find_map(|meaning| match meaning {
            Meaning::Module => self.member(&[of, slice::from_ref(first)].concat(), rest),
            Meaning::Alias(target) if target.segments.first() == Some(first) => None,
            Meaning::Alias(target) => self.definition(of, &[&target.segments[..], rest].concat()),
            Meaning::Item => Some(&*module.file),
        })
    }
}

impl Module {
    fn define(&mut self, name: String, meaning: Meaning) {
        self.names.entry(name).or_default().insert(meaning);
    }

    fn read_use(&mut self, item: &ItemUse) {
        let is_private = matches!(item.vis, Visibility::Inherited);
        let mut found = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut found);
        for (alias, name) in found {
            if is_private {
                self.uses.push(name.clone());
            }
            self.define(alias, Meaning::Alias(name));
        }
    }

    fn read_item(&mut self, item: &Item) {
        let mut found = Paths(Vec::new());
        found.visit_item(item);
        self.uses.append(&mut found.0);
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::Macro(item) => match &item.ident {
                Some(ident) => ident,
                None => return,
            },
            _ => return,
        };
        self.define(name.to_string(), Meaning::Item);
    }
}

/// All paths of an item that is not for tests.
struct Paths(Vec<Name>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        self.0.push(Name {
            segments: segments.map(|segment| segment.ident.to_string()).collect(),
            line: line(path.span()),
        });
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

impl Paths {
    /// What is between the brackets of a macro is not parsed: paths are names with `::` between
    /// them.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut current: Option<Name> = None;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => match &mut current {
                    Some(name) if colons == 2 => name.segments.push(ident.to_string()),
                    _ => {
                        self.0.extend(current.replace(Name {
                            segments: vec![ident.to_string()],
                            line: line(ident.span()),
                        }));
                    }
                },
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.visit_tokens(group.stream()),
                _ => self.0.extend(current.take()),
            }
            colons = 0;
        }
        self.0.extend(current);
    }
}

/// The names that a `use` makes, and what they stand for.
fn flatten(tree: &UseTree, prefix: &mut Vec<String>, found: &mut Vec<(String, Name)>) {
    let named = |prefix: &[String], last: &syn::Ident| {
        let mut segments = prefix.to_vec();
        if last != "self" {
            segments.push(last.to_string());
        }
        Name {
            segments,
            line: line(last.span()),
        }
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, found);
            prefix.pop();
        }
        UseTree::Name(name) => {
            let name = named(prefix, &name.ident);
            let alias = name.segments.last().expect("a name").clone();
            found.push((alias, name));
        }
        UseTree::Rename(rename) => {
            found.push((rename.rename.to_string(), named(prefix, &rename.ident)));
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, found);
            }
        }
        UseTree::Glob(glob) => panic!(
            "`use {}::*` in line {} hides which files it needs: name what is used",
            prefix.join("::"),
            line(glob.span())
        ),
    }
}

fn line(span: Span) -> usize {
    span.start().line
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<TokenStream>()
                .is_ok_and(|condition| condition.to_string().contains("test"))
    })
}
