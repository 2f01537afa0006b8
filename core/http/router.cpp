#include <algorithm>
#include <cassert>
#include <memory>

#include "core/http/server.h"

namespace ribalta::http {
namespace {

enum class Kind { literal, parameter, rest };

Kind kind_of(std::string_view segment) {
  if (segment.starts_with('{') && segment.ends_with("...}")) return Kind::rest;
  return segment.starts_with('{') && segment.ends_with('}') ? Kind::parameter : Kind::literal;
}

std::string name_of(std::string_view segment) {
  const std::size_t marks = kind_of(segment) == Kind::rest ? 5 : 2;
  return std::string{segment.substr(1, segment.size() - marks)};
}

/// The segments of a path, without its leading '/'. "/" has one, which is empty.
std::vector<std::string> split(std::string_view path) {
  assert(path.starts_with('/'));
  std::vector<std::string> segments;
  for (std::size_t at = 1;;) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    segments.emplace_back(path.substr(at, end - at));
    if (end == path.size()) return segments;
    at = end + 1;
  }
}

std::optional<Router::Parameters> match(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  Router::Parameters parameters;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (i >= path.size()) return std::nullopt;
    switch (kind_of(pattern[i])) {
      case Kind::literal:
        if (pattern[i] != path[i]) return std::nullopt;
        break;
      case Kind::parameter:
        if (path[i].empty()) return std::nullopt;
        parameters.emplace_back(name_of(pattern[i]), path[i]);
        break;
      case Kind::rest: {
        std::string rest = path[i];
        for (std::size_t k = i + 1; k < path.size(); ++k) rest += "/" + path[k];
        parameters.emplace_back(name_of(pattern[i]), std::move(rest));
        return parameters;
      }
    }
  }
  if (pattern.size() != path.size()) return std::nullopt;
  return parameters;
}

/// Words before parameters before rests, at the first segment where they differ: `/uploads/finished` is never taken for
/// an upload's id, in whatever order the routes were added.
bool more_specific(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::lexicographical_compare(a, b, {}, kind_of, kind_of);
}

bool method_fits(std::string_view route, std::string_view asked) {
  return route == asked || (route == "GET" && asked == "HEAD");
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, Route route) {
  entries_.push_back({std::string{method}, std::string{pattern}, split(pattern), std::move(route)});
}

Handler Router::handler() const {
  struct Dispatcher {
    std::vector<Entry> entries;

    static Task<void> answer(Exchange& exchange, Response response) { co_await exchange.respond(std::move(response)); }
    static Task<void> run(const Route& route, Exchange& exchange, Parameters parameters) {
      co_await route(exchange, parameters);
    }

    Task<void> dispatch(Exchange& exchange) const {
      const std::vector<std::string> path = split(exchange.head().path);
      const Entry* best = nullptr;
      Parameters best_parameters;
      std::string allowed;
      for (const Entry& entry : entries) {
        std::optional<Parameters> parameters = match(entry.segments, path);
        if (!parameters) continue;
        if (!method_fits(entry.method, exchange.head().method)) {
          allowed += (allowed.empty() ? "" : ", ") + entry.method + (entry.method == "GET" ? ", HEAD" : "");
          continue;
        }
        if (best == nullptr || more_specific(entry.segments, best->segments)) {
          best = &entry;
          best_parameters = std::move(*parameters);
        }
      }
      if (best != nullptr) return run(best->route, exchange, std::move(best_parameters));
      if (allowed.empty()) return answer(exchange, Response::error(404, "not_found", "There is nothing here."));
      Response response = Response::error(405, "method_not_allowed", "This address takes other methods.");
      response.fields.set("Allow", allowed);
      return answer(exchange, std::move(response));
    }
  };
  auto dispatcher = std::make_shared<const Dispatcher>(entries_);
  return [dispatcher](Exchange& exchange) { return dispatcher->dispatch(exchange); };
}

std::vector<std::pair<std::string, std::string>> Router::routes() const {
  std::vector<std::pair<std::string, std::string>> routes;
  routes.reserve(entries_.size());
  for (const Entry& entry : entries_) routes.emplace_back(entry.method, entry.pattern);
  return routes;
}

std::string_view parameter(const Router::Parameters& parameters, std::string_view name) {
  const auto found = std::ranges::find(parameters, name, &std::pair<std::string, std::string>::first);
  assert(found != parameters.end());
  return found->second;
}

}  // namespace ribalta::http
