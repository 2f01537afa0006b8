// The templates behind core/json.h, which tells what they do.
#pragma once

#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <boost/json/value.hpp>
#include <boost/mp11/algorithm.hpp>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/result.h"

namespace ribalta {

/// What to do with a field that the struct does not have: refuse it (bodies that we define), or pass over it (answers
/// of a server that may be newer).
enum class JsonUnknown { refuse, ignore };

/// Nesting beyond this is refused: nothing of ours nests so deep.
inline constexpr std::size_t kJsonDepthMax = 32;

/// @error malformed: not JSON, invalid UTF-8, nested beyond kJsonDepthMax, or something after its end.
Result<boost::json::value> json_parse(std::string_view text);

namespace json_detail {

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsMap = false;
template <class T>
inline constexpr bool kIsMap<std::map<std::string, T>> = true;
template <class T>
inline constexpr bool kIsId = false;
template <class Kind>
inline constexpr bool kIsId<Id<Kind>> = true;
template <class T>
inline constexpr bool kNever = false;

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;

/// A value to read into, also where a type has no default.
template <class T>
T blank() {
  if constexpr (kIsId<T>) {
    return T::random();
  } else {
    return T{};
  }
}

std::string path_of(const std::string& path, std::string_view field);  ///< `$.rungs`
std::string path_of(const std::string& path, std::size_t index);       ///< `$.rungs[0]`
std::unexpected<Error> wrong(const std::string& path, std::string_view what);
void write_text(std::string& out, std::string_view text);
void write_number(std::string& out, double number);
void write_value(std::string& out, const boost::json::value& value);

template <class T>
Result<void> read(const boost::json::value& value, T& out, const std::string& path, JsonUnknown unknown);

template <class T>
Result<void> read_integer(const boost::json::value& value, T& out, const std::string& path) {
  if (!value.is_int64() && !value.is_uint64()) return wrong(path, "not a whole number");
  const bool fits = value.is_int64() ? std::in_range<T>(value.get_int64()) : std::in_range<T>(value.get_uint64());
  if (!fits) return wrong(path, "out of range");
  out = value.is_int64() ? static_cast<T>(value.get_int64()) : static_cast<T>(value.get_uint64());
  return {};
}

template <class T>
Result<void> read_enum(const boost::json::value& value, T& out, const std::string& path) {
  if (!value.is_string()) return wrong(path, "not a text");
  const std::string_view name{value.get_string()};
  bool found = false;
  std::string names;
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto enumerator) {
    if (name == enumerator.name) {
      out = enumerator.value;
      found = true;
    }
    names += names.empty() ? "" : ", ";
    names += enumerator.name;
  });
  if (!found) return wrong(path, "not one of " + names);
  return {};
}

template <class T>
Result<void> read_vector(const boost::json::value& value, std::vector<T>& out, const std::string& path,
                         JsonUnknown unknown) {
  if (!value.is_array()) return wrong(path, "not a list");
  out.clear();
  for (const boost::json::value& element : value.get_array()) {
    T item = blank<T>();
    const Result<void> read_item = read(element, item, path_of(path, out.size()), unknown);
    if (!read_item) return read_item;
    out.push_back(std::move(item));
  }
  return {};
}

template <class T>
Result<void> read_map(const boost::json::value& value, std::map<std::string, T>& out, const std::string& path,
                      JsonUnknown unknown) {
  if (!value.is_object()) return wrong(path, "not an object");
  out.clear();
  for (const auto& field : value.get_object()) {
    const std::string key{field.key()};
    T item = blank<T>();
    const Result<void> read_item = read(field.value(), item, path_of(path, key), unknown);
    if (!read_item) return read_item;
    out.emplace(key, std::move(item));
  }
  return {};
}

template <class T>
Result<void> read_struct(const boost::json::value& value, T& out, const std::string& path, JsonUnknown unknown) {
  if (!value.is_object()) return wrong(path, "not an object");
  const boost::json::object& object = value.get_object();
  Result<void> result;
  std::size_t seen = 0;
  boost::mp11::mp_for_each<Members<T>>([&](auto member) {
    if (!result) return;
    using Member = std::remove_cvref_t<decltype(out.*member.pointer)>;
    if (const boost::json::value* field = object.if_contains(member.name)) {
      ++seen;
      result = read(*field, out.*member.pointer, path_of(path, member.name), unknown);
    } else if constexpr (kIsOptional<Member>) {
      (out.*member.pointer).reset();
    } else {
      result = wrong(path_of(path, member.name), "missing");
    }
  });
  if (!result || seen == object.size() || unknown == JsonUnknown::ignore) return result;
  for (const auto& field : object) {
    bool known = false;
    boost::mp11::mp_for_each<Members<T>>(
        [&](auto member) { known = known || std::string_view{field.key()} == member.name; });
    if (!known) return wrong(path_of(path, std::string_view{field.key()}), "unknown");
  }
  return result;
}

template <class T>
Result<void> read(const boost::json::value& value, T& out, const std::string& path, JsonUnknown unknown) {
  if constexpr (std::same_as<T, boost::json::value>) {
    out = value;
    return {};
  } else if constexpr (std::same_as<T, bool>) {
    if (!value.is_bool()) return wrong(path, "not true or false");
    out = value.get_bool();
    return {};
  } else if constexpr (std::integral<T>) {
    return read_integer(value, out, path);
  } else if constexpr (std::floating_point<T>) {
    if (!value.is_number()) return wrong(path, "not a number");
    const T number = value.to_number<T>();
    if (!std::isfinite(number)) return wrong(path, "a number out of range");  // 1e400 is read as infinity
    out = number;
    return {};
  } else if constexpr (std::same_as<T, std::string>) {
    if (!value.is_string()) return wrong(path, "not a text");
    out = std::string{std::string_view{value.get_string()}};
    return {};
  } else if constexpr (kIsId<T>) {
    if (!value.is_string()) return wrong(path, "not a text");
    const Result<T> id = T::parse(std::string_view{value.get_string()});
    if (!id) return wrong(path, id.error().message);
    out = *id;
    return {};
  } else if constexpr (kIsOptional<T>) {
    if (value.is_null()) {
      out.reset();
      return {};
    }
    return read(value, out.emplace(blank<typename T::value_type>()), path, unknown);
  } else if constexpr (kIsVector<T>) {
    return read_vector(value, out, path, unknown);
  } else if constexpr (kIsMap<T>) {
    return read_map(value, out, path, unknown);
  } else if constexpr (boost::describe::has_describe_enumerators<T>::value) {
    return read_enum(value, out, path);
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    return read_struct(value, out, path, unknown);
  } else {
    static_assert(kNever<T>, "describe the type: BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_ENUM");
  }
}

template <class T>
void write(std::string& out, const T& value) {
  if constexpr (std::same_as<T, boost::json::value>) {
    write_value(out, value);
  } else if constexpr (std::same_as<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::integral<T>) {
    out += std::to_string(value);
  } else if constexpr (std::floating_point<T>) {
    write_number(out, value);
  } else if constexpr (std::same_as<T, std::string>) {
    write_text(out, value);
  } else if constexpr (kIsId<T>) {
    write_text(out, value.view());
  } else if constexpr (kIsOptional<T>) {
    if (value) {
      write(out, *value);
    } else {
      out += "null";  // inside a list; a field is left out
    }
  } else if constexpr (kIsVector<T>) {
    out += '[';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out += ',';
      write<typename T::value_type>(out, value[i]);
    }
    out += ']';
  } else if constexpr (kIsMap<T>) {
    out += '{';
    const char* between = "";
    for (const auto& [key, item] : value) {
      out += std::exchange(between, ",");
      write_text(out, key);
      out += ':';
      write(out, item);
    }
    out += '}';
  } else if constexpr (boost::describe::has_describe_enumerators<T>::value) {
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto enumerator) {
      if (value == enumerator.value) write_text(out, enumerator.name);
    });
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    out += '{';
    const char* between = "";
    boost::mp11::mp_for_each<Members<T>>([&](auto member) {
      const auto& field = value.*member.pointer;
      if constexpr (kIsOptional<std::remove_cvref_t<decltype(field)>>) {
        if (!field) return;
      }
      out += std::exchange(between, ",");
      write_text(out, member.name);
      out += ':';
      write(out, field);
    });
    out += '}';
  } else {
    static_assert(kNever<T>, "describe the type: BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_ENUM");
  }
}

}  // namespace json_detail

/// @error malformed, with the path of the field: `$.rungs[0].width: not a whole number`.
template <class T>
Result<T> json_read(std::string_view text, JsonUnknown unknown = JsonUnknown::refuse) {
  const Result<boost::json::value> value = json_parse(text);
  if (!value) return pass(value);
  T out = json_detail::blank<T>();
  const Result<void> read = json_detail::read(*value, out, "$", unknown);
  if (!read) return pass(read);
  return out;
}

/// The same from a value that has been parsed.
template <class T>
Result<T> json_read_value(const boost::json::value& value, JsonUnknown unknown = JsonUnknown::refuse) {
  T out = json_detail::blank<T>();
  const Result<void> read = json_detail::read(value, out, "$", unknown);
  if (!read) return pass(read);
  return out;
}

template <class T>
std::string json_write(const T& value) {
  std::string out;
  json_detail::write(out, value);
  return out;
}

}  // namespace ribalta
