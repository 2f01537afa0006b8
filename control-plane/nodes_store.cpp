#include "control-plane/nodes_store.h"

#include "control-plane/store.h"

namespace ribalta::control {
namespace {

constexpr std::string_view kSelect = "SELECT name, secret_hash, certificate, invited, joined FROM nodes ";

}  // namespace

Result<std::optional<OtherNode>> NodesStore::by_name(std::string_view name) {
  auto row = sql_.row<std::string, std::string, std::string, std::int64_t, std::int64_t>(
      "nodes.by_name", std::string{kSelect} + "WHERE name = :1", {name});
  if (!row) return pass(row);
  if (!*row) return std::optional<OtherNode>{};
  auto& [known, secret_hash, certificate, invited, joined] = **row;
  return std::optional<OtherNode>{
      OtherNode{std::move(known), std::move(secret_hash), std::move(certificate), invited, joined}};
}

Result<std::vector<OtherNode>> NodesStore::all() {
  auto rows = sql_.rows<std::string, std::string, std::string, std::int64_t, std::int64_t>(
      "nodes.all", std::string{kSelect} + "ORDER BY name");
  if (!rows) return pass(rows);
  std::vector<OtherNode> nodes;
  for (auto& [name, secret_hash, certificate, invited, joined] : *rows) {
    nodes.push_back({std::move(name), std::move(secret_hash), std::move(certificate), invited, joined});
  }
  return nodes;
}

Result<void> NodesStore::insert(const OtherNode& node) {
  return done(sql_.run(
      "nodes.insert", "INSERT INTO nodes (name, secret_hash, certificate, invited, joined) VALUES (:1, :2, :3, :4, :5)",
      {node.name, node.secret_hash, node.certificate, node.invited, node.joined}));
}

Result<void> NodesStore::set_joined(std::string_view name, std::string_view certificate, std::int64_t now) {
  return done(sql_.run("nodes.set_joined",
                       "UPDATE nodes SET secret_hash = '', certificate = :2, joined = :3 WHERE name = :1",
                       {name, certificate, now}));
}

Result<void> NodesStore::remove(std::string_view name) {
  return done(sql_.run("nodes.remove", "DELETE FROM nodes WHERE name = :1", {name}));
}

}  // namespace ribalta::control
