-- gate.lua - Apache asks tallyd about a request.
--
-- Hooked in by gate.conf, which says where tallyd is and what is done when it is
-- down.  What tallyd refuses is answered with its words; what passes goes on with
-- X-Tally-User, -Key, -Plan and -Scopes of the caller for the application and the
-- rate-limit fields for the client.  Needs mod_lua and Debian's lua-socket.

local socket = require("socket")

local timeout_s = 2
-- less than tallyd's server.idle_timeout_ms
local keep_s = 30

local for_app = { "X-Tally-User", "X-Tally-Key", "X-Tally-Plan",
	"X-Tally-Scopes", "X-Request-Id" }
local for_client = { "X-Request-Id", "RateLimit", "RateLimit-Policy",
	"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset" }
local for_refused = { "Retry-After", "WWW-Authenticate", "X-Tally-Reason" }

-- One of each thread (LuaScope thread), kept open between its requests.
local kept, kept_at

local function connect(where)
	local host, port = where:match("^%[?([^%]]+)%]?:(%d+)$")
	local c = socket.tcp()
	c:settimeout(timeout_s)
	if not c:connect(host, port) then
		c:close()
		return nil
	end
	c:setoption("tcp-nodelay", true)
	return c
end

-- Status, headers with names in lower case, body; else nil and why.
local function read_answer(c)
	local line, why = c:receive("*l")
	if not line then return nil, why end
	local status = tonumber(line:match("^HTTP/1%.[01] (%d%d%d)"))
	local headers = {}
	while true do
		line, why = c:receive("*l")
		if not line then return nil, why end
		if line == "" then break end
		local name, value = line:match("^([^:]+):%s*(.-)%s*$")
		if name then headers[name:lower()] = value end
	end
	local length = tonumber(headers["content-length"] or "")
	if not status or not length then return nil, "malformed" end
	local body = ""
	if length > 0 then
		body, why = c:receive(length)
		if not body then return nil, why end
	end
	return status, headers, body
end

local function try(c, question)
	local _, why = c:send(question)
	if why then return nil, why end
	return read_answer(c)
end

local function ask_on(c, question)
	c:settimeout(timeout_s)
	c:settimeout(timeout_s, "t")
	local status, headers, body = try(c, question)
	if status and (headers["connection"] or ""):lower() ~= "close" then
		kept, kept_at = c, socket.gettime()
	else
		c:close()
	end
	return status, headers, body
end

-- A kept connection may have been closed meanwhile: then once more on another.
-- Not when the time was up, or the caller would pay twice.
local function ask(where, question)
	local c, fresh = kept, nil
	kept = nil
	if c and socket.gettime() - kept_at < keep_s then
		local status, headers, body = ask_on(c, question)
		if status or headers ~= "closed" then
			return status, headers, body
		end
	elseif c then
		c:close()
	end
	fresh = connect(where)
	if not fresh then return nil end
	return ask_on(fresh, question)
end

local function question_of(r)
	local lines = {
		"GET /api/gate?" .. (r.subprocess_env["TALLY_ASK"] or "") ..
			" HTTP/1.1",
		"Host: tallyd",
		"X-Forwarded-For: " .. r.useragent_ip,
	}
	for _, name in ipairs({ "Authorization", "X-API-Key", "traceparent" }) do
		local value = r.headers_in[name]
		if value then lines[#lines + 1] = name .. ": " .. value end
	end
	return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- A client's own fields of these names, and of names that some applications
-- take for the same, never reach the application.  Nor may its Connection name
-- ours: Apache would take them away again.
local function strip(r)
	local connection = r.headers_in["Connection"]
	if connection then
		r.headers_in["Connection"] = (connection:gsub("[Xx]%-", "-"))
	end
	for name in pairs(r:headers_in_table()) do
		if name:lower():gsub("_", "-"):find("^x%-tally%-") then
			r.headers_in[name] = nil
		end
	end
end

local function copy(names, from, into)
	for _, name in ipairs(names) do
		local value = from[name:lower()]
		if value then into[name] = value end
	end
end

local function refuse(r, status, body)
	r:custom_response(status, body)
	r.subprocess_env["tally_json"] = "1"
	return status
end

function gate(r)
	local env = r.subprocess_env
	local status, headers, body = ask(env["TALLYD"], question_of(r))
	strip(r)
	if status == 200 then
		copy(for_app, headers, r.headers_in)
		copy(for_client, headers, r.err_headers_out)
		return apache2.OK
	end
	if status and status >= 400 and
			(status < 500 or headers["x-tally-status"]) then
		copy(for_client, headers, r.err_headers_out)
		copy(for_refused, headers, r.err_headers_out)
		return refuse(r, status, body)
	end
	if env["TALLY_WHEN_DOWN"] == "open" then return apache2.OK end
	r.err_headers_out["Retry-After"] = "5"
	return refuse(r, 503, '{"error":{"code":"service_unavailable","message":' ..
		'"keys can not be checked now; try again","status":503}}')
end
