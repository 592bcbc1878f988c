/**
 * Lua: `sum(a, b)` is the exact sum of two decimals, to the letter that of `addDecimals` in
 * domain/decimal.ts; nil when one of them is none. Numbers of Lua are doubles, so the digits are
 * added in groups of seven.
 */
export const DECIMAL_SUM = String.raw`
local GROUP = 7
local BASE = 10 ^ GROUP

local function parse(text)
  local sign, whole = string.match(text, '^(%-?)(%d+)$')
  if sign then return { negative = sign == '-', whole = whole, fraction = '' } end
  local fraction
  sign, whole, fraction = string.match(text, '^(%-?)(%d+)%.(%d+)$')
  return sign and { negative = sign == '-', whole = whole, fraction = fraction }
end

-- Both have the same length, a multiple of the group's; a is not less than b when subtracting.
local function combine(a, b, direction)
  local groups, carry = {}, 0
  for at = #a - GROUP + 1, 1, -GROUP do
    local group = tonumber(string.sub(a, at, at + GROUP - 1))
      + direction * tonumber(string.sub(b, at, at + GROUP - 1)) + carry
    carry = 0
    if group >= BASE then
      group, carry = group - BASE, 1
    elseif group < 0 then
      group, carry = group + BASE, -1
    end
    table.insert(groups, 1, string.format('%07d', group))
  end
  return (carry == 1 and '1' or '') .. table.concat(groups)
end

local function sum(a, b)
  local x, y = parse(a), parse(b)
  if not x or not y then return nil end
  if #x.fraction + #y.fraction == 0 and #x.whole <= 15 and #y.whole <= 15 then
    local small = tonumber(a) + tonumber(b)
    return small == 0 and '0' or string.format('%.0f', small)
  end
  local scale = math.max(#x.fraction, #y.fraction)
  local length = math.ceil((math.max(#x.whole, #y.whole) + scale) / GROUP) * GROUP
  local function digits(number)
    local text = number.whole .. number.fraction .. string.rep('0', scale - #number.fraction)
    return string.rep('0', length - #text) .. text
  end
  local p, q, negative, total = digits(x), digits(y), x.negative, nil
  if x.negative == y.negative then
    total = combine(p, q, 1)
  elseif p >= q then
    total = combine(p, q, -1)
  else
    total, negative = combine(q, p, -1), y.negative
  end
  local whole = string.gsub(string.sub(total, 1, #total - scale), '^0+', '')
  local fraction = string.gsub(string.sub(total, #total - scale + 1), '0+$', '')
  local text = (whole == '' and '0' or whole) .. (fraction == '' and '' or '.' .. fraction)
  return (negative and text ~= '0' and '-' or '') .. text
end
`;
