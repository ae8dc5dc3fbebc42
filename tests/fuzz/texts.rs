//! Texts to begin with, and ways to break them.

use std::{fs, path::Path};

use rnginx::{schema::Schema, syntax::tokens};

/// A small generator of numbers (xorshift64*): the same ones for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below this one; 0 for 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }
}

/// What breaks a text best: the bytes that mean something, and slips of other languages.
const PIECES: &[&[u8]] = &[
    b";",
    b"{",
    b"}",
    b"\"",
    b"'",
    b"\\",
    b"#",
    b"\n",
    b" ",
    b"$",
    b"${",
    b"${x}",
    b"$hots",
    b"/*",
    b"*/",
    b"//",
    b"=",
    b"==",
    b":",
    b"(",
    b")",
    b"\xef\xbb\xbf",
    b"\xc2\xa0",
    b"\xe2\x80\x9c",
    b"\xe2\x80\x99",
    b"\xff",
    b"\0",
    b"\r",
    b"{2}",
    b"{{ x }}",
    b"if ($a = b) { return 1; }",
    b"if $a == b {",
    b"else {",
    b"location ~ ^/(a|b){2,3}$ { }",
    b"location /a { location /a/b { } }",
    b"location @x { }",
    b"include b.conf;",
    b"include *.conf;",
    b"include a.conf;",
    b"map $host $m { default 1; ~x(?<y>.) 2; include b.conf; }",
    b"geo $g { 10.0.0.0/8 1; ranges; }",
    b"types { a/b c; }",
    b"split_clients $host $s { 5% a; * b; }",
    b"content_by_lua_block { if a then b = \"}\" end }",
    b"upstream u { server a:1 weight=0; keepalive -1; }",
    b"proxy_pass http://u/$uri;",
    b"fastcgi_pass unix:/x;",
    b"rewrite ^(.*)$ $1$2 last;",
    b"return 301 https://$host$request_uri;",
    b"add_header X a; b; c;",
    b"try_files $uri $uri/ @x =404;",
    b"alias /x/;",
    b"root /x;",
    b"listen 80 default_server ssl http2;",
    b"listen [::]:99999;",
    b"server_name *.a.* ~^(?<n>.+)$ \"\";",
    b"limit_req_zone $x zone=z:1k rate=0r/s;",
    b"proxy_cache_path /x levels=1:2:3 keys_zone=z:10m;",
    b"<VirtualHost *:80>",
    b"DocumentRoot /x",
    b"events { }",
    b"http {",
    b"# rnginx: allow unescaped-dot because",
    b"# rnginx: context location",
    b"18446744073709551616",
    b"-1",
    b"1h30x",
    b"10g",
    b"off",
];

/// Configurations to begin with.
pub(crate) struct Texts {
    texts: Vec<Vec<u8>>,
    names: Vec<&'static str>,
}

impl Texts {
    /// All of the project, and those in the folder that `CORPUS` names.
    pub(crate) fn of_the_project() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = Vec::new();
        for folder in ["conformance", "tests", "examples"] {
            collect(&root.join(folder), true, &mut texts);
        }
        if let Some(corpus) = std::env::var_os("CORPUS") {
            collect(Path::new(&corpus), false, &mut texts);
        }
        texts.sort();
        assert!(texts.len() > 100, "{} texts", texts.len());
        Self { texts, names: Schema::nginx().directives().iter().map(|spec| spec.name).collect() }
    }

    /// One of them, with some slips.
    pub(crate) fn broken(&self, random: &mut Random) -> Vec<u8> {
        let mut text = random.of(&self.texts).clone();
        if text.len() > 20_000 {
            text.truncate(20_000);
        }
        for _ in 0..random.below(9) {
            self.slip(&mut text, random);
        }
        text
    }

    fn slip(&self, text: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(text.len() + 1);
        match random.below(12) {
            0 => text.truncate(at),
            1 if at < text.len() => drop(text.remove(at)),
            2 if at < text.len() => text[at] = random.below(256) as u8,
            3 => self.statement(text, random),
            4 | 5 => self.token(text, random),
            6 => drop(text.splice(at..at, random.of(&self.texts).iter().take(400).copied().collect::<Vec<_>>())),
            7 => {
                let end = at + random.below(60).min(text.len() - at);
                let piece = text[at..end].to_vec();
                drop(text.splice(at..at, piece));
            }
            8 => drop(text.splice(at..at, vec![b'y'; random.below(9000)])),
            _ => drop(text.splice(at..at, random.of(PIECES).to_vec())),
        }
    }

    /// A directive of the table with arguments that may not be for it.
    fn statement(&self, text: &mut Vec<u8>, random: &mut Random) {
        let places: Vec<_> = (0..text.len()).filter(|at| matches!(text[*at], b';' | b'{' | b'}')).collect();
        let at = if places.is_empty() { 0 } else { *random.of(&places) + 1 };
        let mut piece = format!("\n{}", random.of(&self.names)).into_bytes();
        for _ in 0..random.below(4) {
            piece.push(b' ');
            let source = random.of(&self.texts);
            let words = tokens(source);
            piece.extend_from_slice(if words.is_empty() { b"x" } else { words[random.below(words.len())].text });
        }
        let ends: [&[u8]; 5] = [b";", b";", b" { }", b" {", b""];
        let end: &[u8] = random.of::<&[u8]>(&ends);
        piece.extend_from_slice(end);
        drop(text.splice(at..at, piece));
    }

    /// A token lost, twice there, or another one.
    fn token(&self, text: &mut Vec<u8>, random: &mut Random) {
        let found: Vec<_> = tokens(text).iter().map(|token| (token.start, token.end())).collect();
        if found.is_empty() {
            return;
        }
        let (start, end) = *random.of(&found);
        let other = match random.below(4) {
            0 => Vec::new(),
            1 => [&text[start..end], b" ", &text[start..end]].concat(),
            2 => random.of(PIECES).to_vec(),
            _ => {
                let (start, end) = *random.of(&found);
                text[start..end].to_vec()
            }
        };
        drop(text.splice(start..end, other));
    }
}

fn collect(folder: &Path, ours: bool, found: &mut Vec<Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            collect(&path, ours, found);
        } else if !ours || path.extension().is_some_and(|end| end == "conf") {
            found.extend(fs::read(&path).ok());
        }
    }
}
