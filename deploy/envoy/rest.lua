-- What the contract promises to REST callers and Envoy's transcoder leaves out: it drops unknown fields
-- without a word, may refuse a list or an object without naming the field, takes names and texts without
-- double quotes, does not take the contract's response_body and knows no HEAD. gRPC callers pass untouched. A template:
-- malha/stack/rest.py fills its blanks from the contract.

-- message -> field -> {message of its value or false, is it a list}; any name is a field of a map: "*"
local messages = @{messages}
-- {method, path pattern, message of the body or false, field of the response that is the body or false, is it a stream}
local calls = @{calls}

local MAX_DEPTH = 64 -- the transcoder refuses what is deeper
-- A hundred documents with all their metadata have far fewer. A body may hold millions, and while they are
-- looked at no other caller is served.
local MAX_VALUES = 20000
local seen = 0
local UNQUOTED = ": names and texts stand in double quotes"

local function rule(method, path)
  for _, call in ipairs(calls) do
    if call[1] == method and path:find(call[2]) then return call end
  end
end

-- The position after the string whose first character stands at `at`.
local function after_string(text, at)
  while true do
    local stop = text:find('["\\]', at)
    if not stop then return #text + 1 end
    if text:byte(stop) == 34 then return stop + 1 end
    at = stop + 2
  end
end

local value

-- Walks the members of an object. Answers the position after it, or nil and what is wrong.
local function object(text, at, fields, path, depth)
  while true do
    local start = text:find("[^%s,]", at)
    if not start then return #text + 1 end
    if text:byte(start) == 125 then return start + 1 end
    if text:byte(start) ~= 34 then return nil, path:gsub("%.$", "") .. UNQUOTED end
    at = after_string(text, start + 1)
    local key = text:sub(start + 1, at - 2)
    local field = fields and (fields["*"] or fields[key])
    if fields and not field then return nil, path .. key .. ": unknown field" end
    at = (text:find(":", at, true) or #text) + 1
    local wrong
    at, wrong = value(text, at, field, path .. key, depth)
    if not at then return nil, wrong end
  end
end

local function list(text, at, field, path, depth)
  while true do
    at = text:find("[^%s,]", at)
    if not at then return #text + 1 end
    if text:byte(at) == 93 then return at + 1 end
    local wrong
    at, wrong = value(text, at, field and {field[1], false}, path, depth)
    if not at then return nil, wrong end
  end
end

-- Walks one value. `field` says what it should be; nothing is asked of one without.
-- Malformed text ends the walk: the transcoder says what is wrong with it.
value = function(text, at, field, path, depth)
  at = text:find("%S", at)
  if not at or depth > MAX_DEPTH then return #text + 1 end
  seen = seen + 1
  if seen > MAX_VALUES then return nil, path .. ": the body holds more than " .. MAX_VALUES .. " values" end
  local first = text:byte(at)
  if first == 39 then return nil, path .. UNQUOTED end
  if field and text:find("^null", at) == nil then
    if field[2] and first ~= 91 then return nil, path .. ": must be a list" end
    if not field[2] and first == 91 and field[1] ~= true then return nil, path .. ": must not be a list" end
    if not field[2] and first == 123 and not field[1] then return nil, path .. ": must not be an object" end
    if not field[2] and first ~= 123 and messages[field[1]] then return nil, path .. ": must be an object" end
  end
  if first == 123 then
    return object(text, at + 1, field and messages[field[1]], path == "" and "" or path .. ".", depth + 1)
  end
  if first == 91 then return list(text, at + 1, field, path, depth + 1) end
  if first == 34 then return after_string(text, at + 1) end
  return (select(2, text:find("^[^%s,%]}]+", at)) or #text) + 1
end

function envoy_on_request(request)
  local headers = request:headers()
  local kind = headers:get("content-type") or ""
  if kind == "application/grpc" or kind:find("^application/grpc%+") then return end -- as Envoy tells them apart
  local head = headers:get(":method") == "HEAD"
  local call = rule(head and "GET" or headers:get(":method"), headers:get(":path"):match("^[^?]*"))
  if not call then return end
  if head then
    if call[5] then return end -- a stream has no end to wait for
    headers:replace(":method", "GET")
    request:streamInfo():dynamicMetadata():set("malha", "head", true)
  end
  if call[4] then request:streamInfo():dynamicMetadata():set("malha", "response_body", call[4]) end
  local body = call[3] and request:body()
  if body and body:length() > 0 then
    seen = 0
    local _, wrong = value(body:getBytes(0, body:length()), 1, {call[3], false}, "", 0)
    if wrong then request:respond({[":status"] = "400"}, (wrong:gsub("^:", "body:"))) end
  end
end

function envoy_on_response(response)
  local ours = response:streamInfo():dynamicMetadata():get("malha")
  local headers = response:headers()
  local whole = headers:get(":status") == "200" and headers:get("content-type") == "application/json"
  if not ours or not (ours.head or whole) then return end
  local body = response:body()
  if not body then return end
  local said = body:getBytes(0, body:length())
  if whole and ours.response_body then said = said:match('^{"' .. ours.response_body .. '":(.*)}$') or said end
  body:setBytes(ours.head and "" or said)
  response:headers():replace("content-length", tostring(#said)) -- of a head too
end
