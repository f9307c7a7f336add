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
