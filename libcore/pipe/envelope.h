// The JSON envelope of a record (cli.md, "Envelope"): one object a line that carries every record there can be. The
// writer; produce --framing json reads it.
//
//   {"topic":T,"partition":P,"offset":O,"timestamp":MS,"key":K,"value":V,"headers":[H,...]}
//
//   K, V   a string when the bytes are UTF-8, null when there is none; else the member is called "key_b64" or
//   "value_b64" and
//          holds the bytes in base64
//   H      [KEY, VALUE] with a string or null for the value; [KEY, null, BASE64] when the value is not UTF-8;
//          [null, VALUE, BASE64-OF-VALUE or null, BASE64-OF-KEY] when the key is not
#pragma once

#include <string>

#include "leat/log/record.h"

namespace leat {

// Appends the envelope of `record`, without a newline.
void append_envelope(std::string& to, const RecordView& record);
// Its members from the timestamp on: what the record itself is, wherever it lies.
void append_record_members(std::string& to, const RecordView& record);

// Appends `bytes` as a JSON string when they are UTF-8 and says whether they were; else leaves `to` alone.
bool append_if_utf8(std::string& to, std::string_view bytes);

}  // namespace leat
