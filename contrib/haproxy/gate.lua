-- gate.lua - HAProxy asks tallyd about a request.
--
-- Loaded by gate.cfg, whose `listen tally_gate` leads to tallyd.
-- `http-request lua.tally QUERY` either answers the client (what tallyd has
-- refused, word for word) or goes on, with X-Tally-User, -Key, -Plan and -Scopes
-- of the caller for the application, and the rate-limit fields in variables for
-- the client.  For HAProxy 2.6 and later.

local open = os.getenv("TALLYD_WHEN_DOWN") == "open"
-- Longer than the timeouts of `listen tally_gate` together: HAProxy would ask
-- again when this one passes, and the caller pay again.
local timeout_ms = 5000

local for_app = { "x-tally-user", "x-tally-key", "x-tally-plan",
	"x-tally-scopes", "x-request-id" }
local for_client = { "x-request-id", "ratelimit", "ratelimit-policy",
	"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset" }
local for_refused = { "content-type", "retry-after", "www-authenticate",
	"x-tally-reason" }

local function variable(name)
	return "txn.tally_" .. name:gsub("-", "_")
end

-- HAProxy counts values from 0, Lua's # from 1.
local function first(headers, name)
	local values = headers[name]
	return values and values[0]
end

-- All values of a header: of two keys tallyd must see both, and refuse them.
local function all(headers, name)
	local values, list = headers[name], {}
	local i = 0
	while values and values[i] do
		list[#list + 1] = values[i]
		i = i + 1
	end
	return list
end

local function ask(txn, query)
	local headers = txn.http:req_get_headers()
	local question = { ["x-forwarded-for"] = { txn.sf:src() } }
	for _, name in ipairs({ "authorization", "x-api-key", "traceparent" }) do
		local list = all(headers, name)
		if #list > 0 then question[name] = list end
	end
	return core.httpclient():get({
		url = "http://tallyd/api/gate?" .. query,
		dst = "abns@tally_gate",
		headers = question,
		timeout = timeout_ms,
	})
end

-- A client's own fields of these names, and of names that some applications
-- take for the same, never reach the application.
local function strip(txn)
	for name in pairs(txn.http:req_get_headers()) do
		if name:gsub("_", "-"):find("^x%-tally%-") then
			txn.http:req_del_header(name)
		end
	end
end

local function refuse(txn, status, headers, body)
	local reply = txn:reply({ status = status, body = body })
	for name, value in pairs(headers) do
		reply:add_header(name, value)
	end
	txn:done(reply)
end

local function refuse_down(txn)
	refuse(txn, 503, {
		["content-type"] = "application/json", ["retry-after"] = "5",
	}, '{"error":{"code":"service_unavailable","message":' ..
		'"keys can not be checked now; try again","status":503}}')
end

local function pick(names, from, into)
	for _, name in ipairs(names) do
		into[name] = first(from, name)
	end
	return into
end

core.register_action("tally", { "http-req" }, function(txn, query)
	local answer = ask(txn, query)
	local status = answer and answer.status or 0
	strip(txn)
	if status == 200 then
		for name, value in pairs(pick(for_app, answer.headers, {})) do
			txn.http:req_set_header(name, value)
		end
		for name, value in pairs(pick(for_client, answer.headers, {})) do
			txn:set_var(variable(name), value)
		end
	elseif status >= 400 and (status < 500 or
			first(answer.headers, "x-tally-status")) then
		refuse(txn, status, pick(for_refused, answer.headers,
			pick(for_client, answer.headers, {})), answer.body)
	elseif not open then
		refuse_down(txn)
	end
end, 1)
