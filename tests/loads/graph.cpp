// Load: a graph of small objects. Nodes hold vectors of edges and maps of properties; the graph is built, walked,
// changed for a while (nodes go with all that points to them, others come) and dropped. Unlike `trees`, objects of one
// node differ in size and grow at different times, and what is freed lies all over memory.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common.hpp"

namespace {

struct Edge;

struct Node {
  std::vector<std::unique_ptr<Edge>> out;
  std::vector<Edge*> in;
  std::map<std::uint32_t, std::string> properties;
  std::uint64_t key = 0;
  std::uint64_t seen = 0;
};

struct Edge {
  Node* from = nullptr;
  Node* to = nullptr;
  std::uint64_t weight = 0;
};

using Graph = std::vector<std::unique_ptr<Node>>;

void connect(Node& from, Node& to, std::uint64_t weight) {
  from.out.push_back(std::make_unique<Edge>(Edge{&from, &to, weight}));
  to.in.push_back(from.out.back().get());
}

std::unique_ptr<Node> make(Graph& graph, loads::Random& random) {
  auto node = std::make_unique<Node>();
  node->key = random.next();
  for (std::size_t n = random.below(4); n > 0; --n) {
    node->properties[static_cast<std::uint32_t>(random.below(50))] = std::string(random.between(1, 60), 'p');
  }
  for (std::size_t n = graph.empty() ? 0 : random.between(1, 6); n > 0; --n) {
    connect(*node, *graph[random.below(graph.size())], random.next());
  }
  return node;
}

void unlink(Node& node) {
  for (Edge* edge : node.in) {
    if (edge->from != &node) std::erase_if(edge->from->out, [edge](const auto& one) { return one.get() == edge; });
  }
  for (const auto& edge : node.out) std::erase(edge->to->in, edge.get());
}

// Breadth first, from the first node along edges and properties.
std::uint64_t walk(Graph& graph, std::uint64_t round) {
  std::vector<Node*> queue{graph.front().get()};
  std::uint64_t total = 0;
  graph.front()->seen = round;
  for (std::size_t at = 0; at < queue.size(); ++at) {
    total = total * 3 + queue[at]->key;
    for (const auto& [name, text] : queue[at]->properties) total += name * text.size();
    for (const auto& edge : queue[at]->out) {
      total ^= edge->weight;
      if (edge->to->seen == round) continue;
      edge->to->seen = round;
      queue.push_back(edge->to);
    }
  }
  return total + queue.size();
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(14);
  loads::Checksum sum;
  std::uint64_t round = 0;
  for (std::size_t graphs = arguments.scaled(10); graphs > 0; --graphs) {
    Graph graph;
    for (std::size_t i = 0; i < 20'000; ++i) graph.push_back(make(graph, random));
    for (std::size_t change = 0; change < 30'000; ++change) {
      std::unique_ptr<Node>& old = graph[random.below(graph.size())];
      unlink(*old);
      old = std::move(graph.back());
      graph.pop_back();
      graph.push_back(make(graph, random));
      if (change % 3'000 == 0) sum.add(walk(graph, ++round));
    }
    sum.add(walk(graph, ++round));
  }
  sum.print("graph");
}
