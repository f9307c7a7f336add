# Work for ruby: hashes, strings, JSON, Marshal, garbage collection, threads, fork, pipes. Prints sums only.
require 'digest'
require 'json'

$stdout.sync = true
rng = Random.new(42)

def digest(text) = Digest::SHA256.hexdigest(text)[0, 16]

table = {}
30_000.times { |i| table["key #{i}"] = { id: i, text: 'x' * rng.rand(700), list: [i] * rng.rand(20) } }
10_000.times { |i| table.delete("key #{i * 3}") }
longest = table.max_by { |key, value| [value[:text].size, key] }
puts "hashes #{table.size} #{table.sum { |_, v| v[:text].size + v[:list].size }} #{longest[0]}"

text = JSON.generate(table)
again = Marshal.load(Marshal.dump(JSON.parse(text)))
puts "json #{text.size} #{digest(text)} #{digest(JSON.pretty_generate(again))}"

grown = +''
60_000.times { |i| grown << format('%06d %s;', i, (97 + i % 26).chr * (i % 50)) }
puts "strings #{grown.size} #{digest(grown.gsub(/[c-f]+/) { "<#{_1}>" })} #{grown.scan(/\d+5 (?:a+|b+);/).size}"

GC.start
GC.compact
sums = 8.times.map do |n|
  Thread.new do
    kept = []
    4_000.times do |i|
      kept << 'y' * (i * (n + 1) % 3000)
      kept.shift if kept.size > 200
    end
    kept.sum(&:size)
  end
end
puts "threads #{sums.map(&:value)}"

6.times do |n|
  reader, writer = IO.pipe
  child = fork do
    reader.close
    writer.puts (1..1000 * n / 2).map { |i| 'z' * i }.join.size
    writer.close
    exit n
  end
  writer.close
  Process.wait(child)
  puts "child #{n} #{reader.read.chomp} #{$?.exitstatus}"
end
puts "command #{`echo one two | wc -w`}"
