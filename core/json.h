// JSON in and out of described structs (Boost.JSON and Boost.Describe): a short reader of our own, because Boost 1.81's
// refuses a missing optional and does not name the field.
//   struct Rung { std::string track; std::int64_t width = 0; std::optional<double> fps; };
//   BOOST_DESCRIBE_STRUCT(Rung, (), (track, width, fps))
//   Result<Rung> rung = json_read<Rung>(text);      // error: `$.width: missing`, `$.fps: not a number`, `$.zz:
//   unknown` std::string text = json_write(rung);             // an empty optional is left out
// Field types: bool, int64_t, int32_t, double, std::string, std::optional, std::vector, std::map<std::string, T>,
// described structs and described enums (as their names), Id<…>, and boost::json::value for what is passed through.
#pragma once
#include "core/json_impl.h"
