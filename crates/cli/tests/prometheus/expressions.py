"""What is asked of both: expressions by the function or operator that they are about."""

EACH = "abs ceil floor exp ln log2 log10 sqrt sgn sin sinh cos cosh tan tanh asin asinh acos acosh atan atanh deg rad"
OVER_TIME = "avg min max sum count stddev stdvar last present"
CALENDAR = "minute hour day_of_month day_of_week day_of_year days_in_month month year"
C, G = "requests_total", "temperature"

EXPRESSIONS = {
    "selectors": [
        C, G, "up", "sparse", f'{C}{{code="500"}}', f'{C}{{code=~"5..|404",instance!="i1"}}', f'{C}{{code!~"2.."}}',
        '{__name__=~"temp.*|limit"}', '{job="api",__name__!~"latency.*"}', f'{G}{{room=""}}', "nothing_at_all",
        f'{C}{{missing=""}}', '"text"', "1.5e3", "-Inf",
    ],
    "range vectors": [f"{C}[2m]", f"{G}[90s] offset 1m", f"{G}[10m:1m]"],
    "offset": [f"{C} offset 3m", f"{G} offset -2m", f"rate({C}[5m] offset 7m)", f"sum_over_time({G}[3m] offset 10m)"],
    "@": [
        f"{G} @ end()", f"{G} @ start()", f"rate({C}[5m] @ end())", f"{G} - {G} @ start()",
        f"max_over_time({G}[10m] @ end() offset 5m)", f"{C} @ AT",
    ],
    "staleness": ["ended", "count(ended)", "rate(ended[10m])", "last_over_time(ended[10m])", "absent(ended)", "timestamp(ended)"],
    "rate": [f"rate({C}[5m])", f"rate({C}[61s])", f"rate({C}[20m])", f"rate({G}[5m])", "rate(sparse[30m])"],
    "increase": [f"increase({C}[5m])", f"increase({C}[1h])", "increase(sparse[20m])"],
    "delta": [f"delta({G}[5m])", f"delta({C}[10m])"],
    "irate": [f"irate({C}[5m])", f"irate({G}[2m])"],
    "idelta": [f"idelta({G}[5m])", f"idelta({C}[2m])"],
    "changes": [f"changes({G}[10m])", f"changes({C}[10m])", "changes(limit[1h])"],
    "resets": [f"resets({C}[1h])", f"resets({G}[10m])"],
    "deriv": [f"deriv({G}[10m])", f"deriv({C}[5m])", "deriv(limit[10m])"],
    "predict_linear": [f"predict_linear({G}[10m], 600)", f"predict_linear({C}[5m], -60)", f"predict_linear({G}[10m] offset 5m, 60)"],
    "holt_winters": [f"holt_winters({G}[10m], 0.3, 0.6)", f"holt_winters({G}[10m], 2, 0.5)"],
    **{f"{name}_over_time": [f"{name}_over_time({G}[5m])", f"{name}_over_time({C}[7m])"] for name in OVER_TIME.split()},
    "quantile_over_time": [f"quantile_over_time({q}, {G}[10m])" for q in (0.5, 0.99, -1, 2)],
    "absent": ["absent(nothing)", 'absent(nothing{a="b",c=~"d"})', f"absent({G})", f"absent(sum(nothing))"],
    "absent_over_time": ['absent_over_time(nothing{a="b"}[5m])', f"absent_over_time({G}[5m])"],
    "subqueries": [
        f"max_over_time(rate({C}[5m])[30m:1m])", f"avg_over_time({G}[20m:90s])", f"rate({C}[20m:30s])",
        f"min_over_time(sum({G})[30m:])", f"sum_over_time((time() * vector(2))[10m:1m] offset 3m)", f"deriv(rate({C}[3m])[20m:30s])",
        f"max_over_time(max_over_time({G}[301s:30s])[10m:1m])", f"quantile_over_time(0.9, {G}[15m:20s] @ end())",
    ],
    "sum": [f"sum({C})", f"sum by (job) ({C})", f"sum without (instance) ({C})", f"sum by (nothing) ({G})", f"sum(rate({C}[5m])) by (code)"],
    "avg": [f"avg({G})", f"avg by (job, room) ({G})"],
    "min": [f"min({G})", f"min by (instance) ({G})"],
    "max": [f"max({G})", f"max by (instance) ({G})", "max({__name__=~'temperature|limit'}) by (__name__)"],
    "count": [f"count({G})", f"count by (room) ({G})"],
    "group": [f"group({C}) by (job)"],
    "stddev": [f"stddev({G})", f"stddev by (job) ({C})"],
    "stdvar": [f"stdvar({G})", f"stdvar by (job) ({C})"],
    "topk": [f"topk(2, {C})", f"topk by (job) (1, {C})", f"topk(0, {C})", f"topk(3, rate({C}[5m]))"],
    "bottomk": [f"bottomk(2, {C})", f"bottomk by (job) (1, {C})"],
    "quantile": [f"quantile(0.7, {G})", f"quantile by (job) (0.1, {G})", f"quantile(2, {G})"],
    "count_values": ['count_values("v", limit)', 'count_values by (job) ("v", up)', 'count_values without (instance) ("v", up)'],
    "arithmetic": [
        f"{G} + 1", f"2 - {G}", f"{G} * 2.5", f"{G} / 0", f"{G} % 3", f"-{G} % 3", f"{G} ^ 2", f"2 ^ 3 ^ 2", f"-{G}",
        f"sum by (instance) ({G}) atan2 2", f"{C} / {C}", f"rate({C}[5m]) * 60", "1 + 2 * 3", "7 % -4",
    ],
    "comparison": [
        f"{G} > 20", f"20 < {G}", f"{G} >= bool 20", f"{G} == {G}", f"{G} != bool {G}", "1 < bool 2", f"{G} <= 15 or {G} > 25",
        f"{C} > on(instance, code) {C}", f"{C} > ignoring(code) {C}",
    ],
    "vector matching": [
        f"{G} * on(instance) limit", f"{G} * on(instance) group_left limit", f"limit * on(instance) group_right {G}",
        f"{C} * on(instance) group_left(version) build_info", f"sum by (instance) ({C}) / ignoring(version) build_info",
        f"{C} / ignoring(code) group_left sum by (job, instance) ({C})", f"{G} > bool on(instance) group_left limit",
        f"{G} > on(instance) group_left limit", f"limit < on(instance) group_right {G}", f"{C} + on(nothing) {C}",
    ],
    "and": [f"{C} and {G}", f"{G} and on(instance) limit", f"{G} and (limit > 1000)", f"{C} and ignoring(code) up"],
    "or": [f"{G} or limit", f"nothing or {G}", f"{G} or on(instance) limit", f"vector(1) or {G}"],
    "unless": [f"{G} unless on(instance) (limit > 12)", f"{C} unless {C}", f"{C} unless on(code) {C}{{code='500'}}"],
    "histogram_quantile": [
        "histogram_quantile(0.9, latency_seconds_bucket)", "histogram_quantile(0.5, rate(latency_seconds_bucket[5m]))",
        "histogram_quantile(0.99, sum by (le) (rate(latency_seconds_bucket[5m])))", "histogram_quantile(0.5, temperature)",
        "histogram_quantile(-1, latency_seconds_bucket)", "histogram_quantile(1, latency_seconds_bucket)",
        "histogram_quantile(0, latency_seconds_bucket)", 'histogram_quantile(0.9, latency_seconds_bucket{le!="+Inf"})',
    ],
    "label_replace": [
        f'label_replace({C}, "host", "$1-x", "instance", "i(.*)")', f'label_replace({C}, "job", "", "job", "api")',
        f'label_replace({C}, "x", "$2${{1}}", "code", "(.)(.*)")', f'label_replace({C}, "instance", "same", "instance", ".*")',
        f'label_replace({C}, "bad-name", "a", "b", "c")',
    ],
    "label_join": [f'label_join({C}, "all", "-", "job", "instance", "nothing")', f'label_join({G}, "room", "")'],
    **{name: [f"{name}({G})", f"{name}(vector(0.5))", f"{name}({G} / 100)"] for name in EACH.split()},
    "round": [f"round({G})", f"round({G}, 0.25)", f"round(-{G}, 5)"],
    "clamp": [f"clamp({G}, 10, 20)", f"clamp({G}, 20, 10)", f"clamp({G}, -Inf, NaN)"],
    "clamp_min": [f"clamp_min({G}, 18)"],
    "clamp_max": [f"clamp_max({G}, 18)"],
    "sort": [f"sort({G})", f"sort({C})"],
    "sort_desc": [f"sort_desc({G})", f"sort_desc(sum by (code) ({C}))"],
    "scalar": [f"scalar({G})", f"scalar(sum({G}))", f"{G} + scalar(limit{{instance='i0'}})"],
    "vector": ["vector(3)", "vector(time())", f"vector(scalar(sum({C})))"],
    "time": ["time()", "time() - 5", f"time() - timestamp({G})"],
    "timestamp": [f"timestamp({G})", f"timestamp({G} + 0)", f"timestamp({C} offset 1m)"],
    "pi": ["pi()", f"{G} * pi()"],
    **{name: [f"{name}()", f"{name}({C} * 1e6)", f"{name}(vector(1709164800))"] for name in CALENDAR.split()},
    "errors": ["sum(", "rate(up)", "nofunction(up)", f"{C} * on(job) {C}", "1 < 2", '{job=~".*"}', "sum by (job) (up", f"{G}[0s]"],
}

# These say an order as well.
ORDERED = ("sort(", "sort_desc(", "topk(", "bottomk(")
