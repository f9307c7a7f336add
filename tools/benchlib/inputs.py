"""The fixed inputs of the bench's real programs, made in the bench's own folder: the same bytes on every machine.

Each function writes one input for a given scale and returns its path. Knows nothing of peers or figures.
"""
import json
import random


def _write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding='utf-8')
    return str(path)


def compiler_source(folder, scale):
    """C++ that makes a compiler work: many distinct instantiations of the standard library's templates."""
    kinds = max(1, int(scale))
    lines = ['#include <algorithm>', '#include <functional>', '#include <map>', '#include <memory>',
             '#include <numeric>', '#include <optional>', '#include <set>', '#include <string>', '#include <tuple>',
             '#include <unordered_map>', '#include <variant>', '#include <vector>', '']
    for k in range(kinds):
        lines.append(f'''
struct Key{k} {{ int a; std::string b; auto operator<=>(const Key{k}&) const = default; }};
struct Value{k} {{ std::vector<std::optional<Key{k}>> keys; std::map<std::string, Key{k}> by_name; }};
using Any{k} = std::variant<int, std::string, Key{k}, Value{k}, std::unique_ptr<Value{k}>>;
std::size_t work{k}(int n) {{
  std::map<Key{k}, Value{k}> map;
  std::unordered_map<std::string, std::shared_ptr<Value{k}>> shared;
  std::vector<std::tuple<Key{k}, std::string, int>> rows;
  for (int i = 0; i < n; ++i) {{
    Key{k} key{{i % 17, std::to_string(i * {k + 3})}};
    map[key].keys.push_back(key);
    rows.emplace_back(key, key.b, i);
    shared.emplace(key.b, std::make_shared<Value{k}>());
  }}
  std::sort(rows.begin(), rows.end(), [](const auto& x, const auto& y) {{ return std::get<2>(x) > std::get<2>(y); }});
  std::function<std::size_t(const Any{k}&)> weigh = [&](const Any{k}& any) -> std::size_t {{
    return std::visit([&](const auto& one) -> std::size_t {{ return sizeof(one) + map.size(); }}, any);
  }};
  std::set<Any{k}*> seen;
  std::vector<Any{k}> all;
  all.emplace_back(n); all.emplace_back(std::string("x")); all.emplace_back(Key{k}{{}});
  return std::accumulate(all.begin(), all.end(), shared.size(),
                         [&](std::size_t sum, const Any{k}& any) {{ return sum + weigh(any); }}) + seen.size();
}}''')
    calls = ' + '.join(f'work{k}(n)' for k in range(kinds))
    lines.append(f'std::size_t work(int n) {{ return {calls}; }}')
    return _write(folder, 'heavy.cpp', '\n'.join(lines) + '\n')


def records(folder, scale):
    """A JSON array of records, for jq and the interpreters."""
    dice = random.Random(1)
    letters = 'abcdefghijklmnopqrstuvwxyz'
    words = [''.join(dice.choices(letters, k=dice.randint(3, 12))) for _ in range(2000)]
    rows = [{'id': i, 'name': dice.choice(words) + ' ' + dice.choice(words), 'group': dice.choice(words[:200]),
             'score': dice.randint(0, 100000), 'tags': dice.sample(words, dice.randint(0, 6)),
             'nested': {'x': dice.randint(0, 9), 'text': ' '.join(dice.choices(words, k=dice.randint(2, 12)))}}
            for i in range(max(50, int(16000 * scale)))]
    return _write(folder, 'records.json', json.dumps(rows))


def python_script(folder, scale):
    return _write(folder, 'work.py', f'''
import json, re, sys, zlib
text = open(sys.argv[1]).read()
sum = 0
for round in range({max(1, int(4 * scale))}):
    rows = json.loads(text)
    groups = {{}}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
        for tag in row["tags"]:
            groups.setdefault("tag " + tag, []).append(row["id"])
    names = sorted((row["name"].title(), row["score"]) for row in rows)
    words = [word for row in rows for word in row["nested"]["text"].split()]
    counts = {{}}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    lines = "\\n".join(f"{{name:30}} {{score:8d}}" for name, score in names)
    found = re.findall(r"[A-Z]\\w+ [A-Z]a\\w*", lines)
    big = pow(7, 4000 + round)
    out = json.dumps(dict(groups=groups, counts=counts, found=found, big=str(big)[:50]), sort_keys=True)
    sum = zlib.crc32(out.encode(), sum)
print(sum)
''')


def sql(folder, scale):
    rows = max(1000, int(80000 * scale))
    return _write(folder, 'work.sql', f'''
PRAGMA cache_size = -65536;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, kind INTEGER, price REAL, note TEXT);
CREATE TABLE sale(id INTEGER PRIMARY KEY, item INTEGER, amount INTEGER, day TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
  INSERT INTO item SELECT i, 'item ' || (i * 7919 % 100003), i * 31 % 97, i * 17 % 1000 / 8.0,
    substr('the quick brown fox jumps over the lazy dog, again and again and again', 1, 10 + i % 50) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows * 2})
  INSERT INTO sale SELECT i, i * 7919 % {rows} + 1, i % 13, date('2020-01-01', (i % 900) || ' days') FROM n;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_item ON sale(item, day);
SELECT kind, count(*), sum(price), group_concat(DISTINCT substr(name, -2)) FROM item GROUP BY kind ORDER BY kind;
SELECT i.kind, s.day, sum(s.amount * i.price) AS total FROM sale s JOIN item i ON i.id = s.item
  GROUP BY i.kind, s.day ORDER BY total DESC, 1, 2 LIMIT 50;
UPDATE item SET note = note || ' ' || upper(name) WHERE kind % 3 = 0;
DELETE FROM sale WHERE amount = 5;
SELECT count(*), sum(length(note)) FROM item;
SELECT name, (SELECT count(*) FROM sale WHERE item = item.id) AS sales FROM item ORDER BY sales DESC, name LIMIT 20;
''')


def perl_script(folder, scale):
    return _write(folder, 'work.pl', f'''
use strict; use warnings;
my (%count, %first, @lines);
my $x = 1;
for my $i (1 .. {max(100, int(130000 * scale))}) {{
  $x = ($x * 1103515245 + 12345) % 2147483648;
  my $word = join "", map {{ chr(97 + ($x >> $_) % 26) }} (3, 7, 11, 16);
  $count{{$word}}++;
  push @{{$first{{substr $word, 0, 2}}}}, {{ word => $word, at => $i, twice => $word x 2 }};
  push @lines, "$word line $i of many" if $i % 3 == 0;
}}
my $text = join "\\n", @lines;
my $found = 0;
while ($text =~ /\\b([a-m]\\w+) line (\\d+)/g) {{ $found += length($1) + $2 % 7; }}
my @sorted = sort {{ $count{{$b}} <=> $count{{$a}} || $a cmp $b }} keys %count;
my @upper = map {{ uc }} grep {{ /e/ }} @sorted;
my $sum = 0;
for my $key (sort keys %first) {{
  $sum = ($sum * 31 + $_->{{at}} + length $_->{{twice}}) % 1000003 for @{{$first{{$key}}}};
}}
print "$found $sum ", scalar(@upper), " @sorted[0 .. 9]\\n";
''')


def ruby_script(folder, scale):
    return _write(folder, 'work.rb', f'''
x = 1
sum = 0
{max(1, int(5 * scale))}.times do |round|
  rows = Array.new({max(100, int(40000 * min(scale, 1)))}) do |i|
    x = (x * 1103515245 + 12345) % 2147483648
    {{ id: i, word: (x >> 5).to_s(36), list: [i, x % 7, (x >> 9).to_s], text: "row #{{i}} has #{{x}} " * (1 + x % 3) }}
  end
  groups = rows.group_by {{ |row| row[:word][0, 2] }}
  text = rows.map {{ |row| row[:text].capitalize }}.join("\\n")
  sum += text.scan(/Row (\\d+)/).sum {{ |found| found[0].size }}
  sum += groups.sort.sum {{ |key, list| key.sum * list.map {{ |row| row[:list][2].size }}.sum }} % 1_000_003
end
puts sum
''')


def lua_script(folder, scale):
    # Lua's hashes begin with an address: nothing here may depend on the order of pairs().
    return _write(folder, 'work.lua', f'''
local x, sum = 1, 0
local function dice(n) x = (x * 1103515245 + 12345) % 2147483648; return (x >> 8) % n end
for round = 1, {max(1, int(3 * scale))} do
  local rows, groups = {{}}, {{}}
  for i = 1, {max(100, int(30000 * min(scale, 1)))} do
    local word = string.char(97 + dice(26), 97 + dice(26), 97 + dice(26), 97 + dice(26))
    local row = {{ id = i, word = word, list = {{ i, dice(7), tostring(dice(30000)) }},
                  text = ("row %d has %s "):format(i, word):rep(1 + dice(3)) }}
    rows[i] = row
    local key = word:sub(1, 2)
    groups[key] = groups[key] or {{}}
    table.insert(groups[key], function(n) return row.id * n + #row.list[3] end)
  end
  table.sort(rows, function(a, b) return a.word < b.word or (a.word == b.word and a.id < b.id) end)
  local parts = {{}}
  for at, row in ipairs(rows) do parts[at] = row.text:upper() end
  local text = table.concat(parts, "\\n")
  for number in text:gmatch("ROW (%d+)") do sum = (sum + #number * tonumber(number)) % 1000003 end
  for key, group in pairs(groups) do
    for _, one in ipairs(group) do sum = (sum + one(key:byte())) % 1000003 end
  end
  local made = coroutine.wrap(function() for i = 1, #rows do coroutine.yield({{ rows[i].word, i }}) end end)
  for i = 1, #rows do sum = (sum * 31 + #made()[1] + i) % 1000003 end
end
print(sum)
''')


def node_script(folder, scale):
    return _write(folder, 'work.js', f'''
'use strict';
const crypto = require('crypto'), fs = require('fs'), zlib = require('zlib');
const text = fs.readFileSync(process.argv[2]);
const hash = crypto.createHash('sha256');
for (let round = 0; round < {max(1, int(5 * scale))}; ++round) {{
  const rows = JSON.parse(text.toString());
  const groups = new Map();
  for (const row of rows) {{
    if (!groups.has(row.group)) groups.set(row.group, []);
    groups.get(row.group).push(row.name.toUpperCase() + ' ' + row.score);
    for (const tag of row.tags) hash.update(tag);
  }}
  const buffers = [];
  for (const [name, list] of [...groups].sort((a, b) => a[0] < b[0] ? -1 : 1)) {{
    const joined = Buffer.from(list.sort().join('\\n') + name);
    const packed = zlib.deflateSync(joined, {{ level: 1 }});
    hash.update(zlib.inflateSync(packed));
    buffers.push(packed, Buffer.alloc(joined.length * 8, round));
    for (const line of list) buffers.push(Buffer.from(new Uint8Array(Buffer.from(line))));
  }}
  hash.update(Buffer.concat(buffers));
}}
console.log(hash.digest('hex'));
''')


def postscript(folder, scale):
    """Pages of text, curves, clipped shadings and small dictionaries, for ghostscript."""
    return _write(folder, 'work.ps', f'''%!PS
7 srand
/dice {{ rand exch mod }} bind def
/letters (etaoinshrdlucmfwypvbgkqjxz) def
/word {{ /n 3 9 dice add def /w n string def 0 1 n 1 sub {{ w exch letters 26 dice get put }} for w }} bind def
/Fonts [ /Helvetica /Times-Roman /Courier /Times-Italic ] def
1 1 {max(1, int(18 * scale))} {{
  /page exch def
  /seen 200 dict def
  Fonts page 4 mod get findfont 8 page 5 mod add scalefont setfont
  0 1 60 {{
    12 mul 40 add 36 exch moveto
    10 {{ /one word def seen one n put one show ( ) show }} repeat
  }} for
  120 {{
    gsave
    3 {{ 255 dice 255 div }} repeat setrgbcolor
    600 dice 800 dice moveto
    4 {{ 6 {{ 700 dice }} repeat curveto }} repeat closepath
    2 dice 0 eq {{ fill }} {{ 5 dice setlinewidth [ 1 5 dice add 3 ] 0 setdash stroke }} ifelse
    grestore
  }} repeat
  6 {{
    gsave
    600 dice 800 dice 30 50 dice add 0 360 arc clip newpath
    << /ShadingType 3 /ColorSpace /DeviceRGB /Coords [ 300 400 10 300 400 500 ] /Extend [ true true ]
       /Function << /FunctionType 2 /Domain [ 0 1 ] /C0 [ 1 0 0 ] /C1 [ 0 0 1 ] /N 1 >> >> shfill
    grestore
  }} repeat
  showpage
}} for
''')


def smt(folder, scale):
    """Small puzzles for a solver: products to be taken apart, queens, jobs on machines, arrays."""
    lines = ['(set-option :smt.random_seed 1)', '(set-option :sat.random_seed 1)']
    for product in (46189 * k + 3233 for k in range(1, 1 + max(1, int(5 * min(scale, 1))))):
        lines += ['(push)', '(declare-const a (_ BitVec 32))', '(declare-const b (_ BitVec 32))',
                  '(assert (bvult a #x00010000))', '(assert (bvult b #x00010000))', '(assert (bvule a b))',
                  '(assert (bvugt a #x00000001))', f'(assert (= (bvmul a b) #x{product:08x}))', '(check-sat)', '(pop)']
    for n in range(6, 6 + max(1, int(12 * scale))):
        lines.append('(push)')
        lines += [f'(declare-const q{i} Int)\n(assert (and (<= 0 q{i}) (< q{i} {n})))' for i in range(n)]
        lines += [f'(assert (and (not (= q{i} q{k})) (not (= (- q{i} q{k}) {i - k})) (not (= (- q{i} q{k}) {k - i}))))'
                  for i in range(n) for k in range(i)]
        lines += ['(check-sat)', '(pop)']
    for jobs in range(4, 4 + max(1, int(8 * scale))):
        lines.append('(push)')
        lines += [f'(declare-const s{j} Int)\n(assert (and (<= 0 s{j}) (<= (+ s{j} {3 + j * 5 % 7}) {jobs * 4})))'
                  for j in range(jobs)]
        lines += [f'(assert (or (<= (+ s{j} {3 + j * 5 % 7}) s{k}) (<= (+ s{k} {3 + k * 5 % 7}) s{j})))'
                  for j in range(jobs) for k in range(j) if (j + k) % 3]
        lines += ['(check-sat)', '(pop)']
    for size in (12, 20):
        lines += ['(push)', '(declare-const m0 (Array Int Int))']
        lines += [f'(declare-const m{i + 1} (Array Int Int))\n(declare-const i{i} Int)\n'
                  f'(assert (= m{i + 1} (store m{i} i{i} (+ {i} (select m{i} (+ i{i} 1))))))' for i in range(size)]
        lines += [f'(assert (> (select m{size} i{i}) (select m{size} (+ i{i} 1))))' for i in range(0, size, 4)]
        lines += ['(check-sat)', '(pop)']
    return _write(folder, 'work.smt2', '\n'.join(lines) + '\n')
