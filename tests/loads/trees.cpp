// Load: binary trees built and dropped node by node, beside one that stays: compilers, interpreters and solvers. One
// size of block in great numbers, freed in the order of the tree, not of allocation.
#include <memory>

#include "common.hpp"

namespace {

struct Node {
  std::unique_ptr<Node> left;
  std::unique_ptr<Node> right;
  std::uint64_t key = 0;
};

std::unique_ptr<Node> build(unsigned depth, std::uint64_t key) {
  auto node = std::make_unique<Node>();
  node->key = key;
  if (depth > 0) {
    node->left = build(depth - 1, key * 2);
    node->right = build(depth - 1, key * 2 + 1);
  }
  return node;
}

std::uint64_t total(const Node& node) {
  return node.key + (node.left ? total(*node.left) : 0) + (node.right ? total(*node.right) : 0);
}

// A search tree grown in random order: neighbours in the tree are strangers in memory.
void insert(std::unique_ptr<Node>& root, std::uint64_t key) {
  std::unique_ptr<Node>* at = &root;
  while (*at) at = key < (*at)->key ? &(*at)->left : &(*at)->right;
  *at = std::make_unique<Node>();
  (*at)->key = key;
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(8);
  loads::Checksum sum;
  const auto lasting = build(18, 1);
  const std::size_t rounds = arguments.scaled(40);
  for (std::size_t i = 0; i < rounds; ++i) {
    for (unsigned depth = 4; depth <= 16; depth += 4) {
      for (unsigned copy = 0; copy < (1u << (16 - depth)); ++copy) sum.add(total(*build(depth, i + copy)));
    }
    std::unique_ptr<Node> search;
    for (unsigned n = 0; n < 12'000; ++n) insert(search, random.next());
    sum.add(total(*search));
  }
  sum.add(total(*lasting));
  sum.print("trees");
}
