package importgraph

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed is the whole graph of the module: a folder, and what of the module
// it may import besides itself. A folder that is not named is covered by the
// nearest one above it, so api stands for api/prom too.
const allowed = `
internal/match      :
internal/await      :
internal/doctortest : internal/vfs storage/doctor
internal/loopback   :
internal/model      :
internal/vfs        :
internal/panics     :
internal/decimal    :
internal/background : internal/vfs
internal/objstore   : internal/vfs internal/background
internal/objstore/s3: internal/objstore
internal/s3test     : internal/await internal/loopback
encoding            : internal/model
partition            :
partition/format     :
partition/block      : internal/match internal/model internal/objstore encoding partition/format
partition/manifest   : internal/model internal/vfs internal/objstore encoding partition/format partition/block
partition/blockset   : internal/match internal/model internal/objstore internal/panics partition/format partition/block partition/manifest
partition/compaction : internal/model internal/objstore internal/panics partition/format partition/block partition/manifest partition/blockset
partition/repair     : internal/model internal/vfs internal/objstore partition/format partition/block partition/manifest
rollup/bucket       : internal/model
rollup              : internal/model internal/objstore internal/panics partition/format partition/block partition/manifest partition/blockset rollup/bucket
partition/internal   : internal/model internal/vfs internal/objstore partition/block partition/manifest partition/blockset partition/compaction
storage/log         : internal/model encoding
storage/log/logtest : internal/model storage/log
storage/wal         : internal/model internal/vfs internal/panics encoding storage/log
storage/head        : internal/match internal/model internal/vfs encoding
storage/snapshot    : internal/vfs encoding partition/format partition/block partition/manifest
storage/archive     : internal/vfs internal/objstore encoding partition/format partition/block partition/manifest storage/datadir storage/log storage/wal storage/snapshot
storage/history     : internal/model internal/vfs internal/objstore partition/format partition/block partition/manifest partition/blockset
storage/datadir     : internal/vfs internal/objstore partition/format partition/block partition/manifest storage/log storage/wal
storage/namestats   : internal/vfs partition/format
storage/cardinality : internal/model internal/vfs partition/format
storage/doctor      : internal/match internal/model internal/vfs internal/objstore partition/format partition/block partition/manifest partition/blockset partition/repair rollup rollup/bucket storage/datadir storage/log storage/wal storage/snapshot storage/history storage/cardinality storage/namestats
storage             : internal/match internal/model internal/vfs internal/objstore internal/panics internal/background encoding partition/format partition/block partition/manifest partition/blockset partition/compaction rollup rollup/bucket storage/log storage/wal storage/head storage/datadir storage/snapshot storage/namestats storage/cardinality storage/history
query/steps         : internal/model
query/tiers         : internal/model partition/block rollup/bucket query/steps
query/window        : internal/model query/steps rollup/bucket
query/admission     :
query/source        : internal/model partition/block storage query/admission query/tiers
query/noncounter    : query/admission query/steps
query/resultcache   : internal/model storage query/admission query/noncounter query/steps query/tiers
query/operators     : internal/model partition/block rollup/bucket storage query/admission query/noncounter query/source query/steps query/tiers query/window
query/querytest     : internal/doctortest internal/model internal/vfs partition/block storage query
query               : internal/match internal/model storage query/admission query/noncounter query/operators query/resultcache query/source query/steps query/tiers
proto               :
api/adminctx        :
api/reqbody         : internal/vfs
api/ingest/wire     :
api/ingest/door     : internal/decimal internal/model internal/vfs storage api/reqbody
api/ingest/doortest : internal/model storage api/ingest/door
api/ingest/remotewrite: internal/model storage api/reqbody api/ingest/door api/ingest/wire
api/ingest/influx   : internal/decimal internal/model storage api/reqbody api/ingest/door api/adminctx
api/ingest/listener : internal/panics internal/vfs storage api/reqbody api/ingest/door
api/ingest/jsonlines: internal/model storage api/ingest/door internal/transfer/jsonl
api/ingest/csv      : internal/decimal internal/model storage api/ingest/door
api/ingest/opentsdb : internal/decimal internal/model storage api/ingest/door
api/ingest/datadog  : internal/decimal internal/model storage api/ingest/door api/ingest/wire
api/ingest/graphite : internal/decimal internal/model storage api/ingest/door
api/ingest/pushgateway: internal/model storage api/ingest/door api/ingest/text
api/ingest/text     : internal/decimal internal/model storage api/ingest/door
api/ingest/rpcstatus: api/ingest/door
api/ingest/otlp     : internal/decimal internal/model storage api/reqbody api/ingest/door api/ingest/rpcstatus api/ingest/wire
api/ingest/rpcwrite : internal/model internal/panics storage proto api/reqbody api/ingest/door api/ingest/rpcstatus api/ingest/wire
api/ingest/appender : internal/model internal/panics storage api/reqbody api/ingest/door
api/ingest          : internal/vfs storage api/reqbody api/ingest/appender api/ingest/door api/ingest/remotewrite api/ingest/influx api/ingest/jsonlines api/ingest/otlp api/ingest/rpcwrite api/ingest/text api/ingest/csv api/ingest/pushgateway api/ingest/opentsdb api/ingest/datadog api/ingest/graphite api/ingest/listener
api/web             :
api/importer        : internal/model storage internal/transfer internal/transfer/stream
api/scrape          : internal/model api
api                 : internal/match internal/model internal/vfs internal/panics internal/background storage query proto api/reqbody api/adminctx internal/transfer/jsonl api/web
cmd/tsdb            : internal/model internal/vfs internal/objstore internal/objstore/s3 internal/transfer internal/transfer/export internal/transfer/files internal/transfer/jsonl internal/transfer/promdir internal/transfer/promread partition/block storage storage/archive storage/wal query api api/reqbody api/ingest api/ingest/door api/ingest/otlp api/importer api/scrape storage/doctor api/ingest/influx api/ingest/listener
benchmarks          :
internal/transfer/stream : internal/model encoding
internal/transfer        : internal/match internal/model partition/block storage internal/transfer/stream
internal/transfer/promdir: internal/model internal/transfer
internal/transfer/promread: internal/model internal/panics internal/transfer internal/transfer/promdir
internal/transfer/jsonl  : internal/decimal internal/model encoding
internal/transfer/export : internal/model internal/transfer/jsonl
internal/transfer/files  : internal/decimal internal/model storage api/ingest/csv api/ingest/door api/ingest/influx api/ingest/text internal/transfer internal/transfer/jsonl
internal/crash      : internal/model internal/vfs partition/format storage storage/doctor
internal/e2e        :
internal/importgraph:
`

// An edge that must not be, with the reason. Patterns match a package and all
// below it. What starts with a dot, a slash or a module path of this project
// is a folder; all else is an import path of the standard library or of
// another module.
var forbidden = []struct {
	from, to, reason string
	except           []string // folders below from that may after all
}{
	{from: "storage", to: "query", reason: "the database knows nothing of PromQL, so that another language can stand on it"},
	{from: "query/admission", to: "storage", reason: "which queries run, and on what, does not depend on what they read"},
	{from: "query/operators", to: "query/resultcache", reason: "an operator evaluates any part of a grid; which parts are kept is decided above"},
	{from: "query/resultcache", to: "query/operators", reason: "the cache evaluates through its Evaluator, so that any engine can stand behind it"},
	{from: "query/source", to: "query/operators", reason: "Prometheus' engine reads through source too"},
	{from: "api", to: "query/operators", reason: "doors know an engine, its queries and their limits: package query"},
	{from: "api", to: "query/admission", reason: "doors know an engine, its queries and their limits: package query"},
	{from: "api", to: "query/source", reason: "doors know an engine, its queries and their limits: package query"},
	{from: "storage", to: "api", reason: "wire formats stop at the doors"},
	{from: "api/ingest/door", to: "api/ingest/wire", reason: "the contract of the doors knows no protocol, so that a new one is a package beside the others"},
	{from: "api/ingest/door", to: "google.golang.org/protobuf", reason: "the contract of the doors knows no protocol, so that a new one is a package beside the others"},
	{from: "api", to: "api/ingest/door", except: []string{"api/ingest"}, reason: "only ingest protocols write through the contract of the doors"},
	{from: "storage", to: "storage/doctor", reason: "a start opens a directory or refuses it; repairs are for people to order"},
	{from: "storage/doctor", to: "storage/head", reason: "the tools work on files at rest, also on those that no database opens"},
	{from: "storage/log", to: "storage/wal", reason: "the contract of a log does not know the one that keeps it in files"},
	{from: "storage/log", to: "internal/vfs", reason: "a log need not be kept in files"},
	{from: "storage/wal", to: "storage/head", reason: "the log is one implementation of a log of batches; it may not know what is made of them"},
	{from: "storage/head", to: "storage/wal", reason: "the head is filled by the log's replay and by writers alike"},
	{from: "partition", to: "storage", reason: "blocks are immutable and know nothing of heads and logs"},
	{from: "partition/block", to: "internal/vfs", reason: "blocks are objects with keys; only a store knows files"},
	{from: "partition/blockset", to: "internal/vfs", reason: "blocks are objects with keys; only a store knows files"},
	{from: "partition/compaction", to: "internal/vfs", reason: "blocks are objects with keys; only a store knows files"},
	{from: "internal/objstore", to: "encoding", reason: "objects are bytes: what they mean is for those above"},
	{from: "internal/objstore", to: "os", reason: "all files go through internal/vfs, so that crashes and faults can be tested"},
	{from: "partition/block", to: "partition/manifest", reason: "a block is read and written without knowing which of them count"},
	{from: "partition/manifest", to: "partition/blockset", reason: "the MANIFEST says which blocks count; it opens none"},
	{from: "partition/blockset", to: "partition/compaction", reason: "the set publishes edits; what to merge is decided above it"},
	{from: "partition/repair", to: "partition/blockset", reason: "a repair works from files, before there is a set"},
	{from: "encoding", to: "partition", reason: "columns in, bytes out: no files"},
	{from: "encoding", to: "internal/vfs", reason: "pure functions need no file system and no clock"},

	{from: "", to: "github.com/klauspost/compress/zstd", except: []string{"encoding", "api", "internal/transfer", "cmd/tsdb", "benchmarks"},
		reason: "one folder knows the compression library of our own formats; the API sends answers in what clients accept, transfers read and write compressed files, and benchmarks send what clients send"},
	{from: "encoding", to: "os", reason: "pure functions"},
	{from: "encoding", to: "time", reason: "pure functions: no clock"},
	{from: "encoding", to: "log/slog", reason: "pure functions: errors are returned"},
	{from: "partition", to: "os", reason: "all files go through internal/vfs, so that crashes and faults can be tested"},
	{from: "storage", to: "os", reason: "all files go through internal/vfs, so that crashes and faults can be tested"},
	{from: "partition", to: "net/http", reason: "only api speaks HTTP"},
	{from: "storage", to: "net/http", reason: "only api speaks HTTP"},
	{from: "query", to: "net/http", reason: "only api speaks HTTP"},
	{from: "query", to: "os", reason: "queries read through storage"},

	{from: "", to: "github.com/prometheus/prometheus/prompb", except: []string{"api", "internal/transfer/promread"},
		reason: "generated wire types stop at api, and at the package that reads other servers"},
	{from: "", to: "github.com/prometheus/prometheus/promql", except: []string{"api", "query", "cmd/tsdb"},
		reason: "PromQL is known to query, and to the API that reports its errors"},
	{from: "", to: "github.com/prometheus/prometheus/storage", except: []string{"api", "query", "internal/transfer/promdir"},
		reason: "our Select is not Prometheus' interface; query adapts one to the other"},
	{from: "", to: "github.com/prometheus/prometheus/tsdb", except: []string{"api", "query", "benchmarks", "internal/transfer/promdir", "internal/transfer/promread"},
		reason: "the formats are our own; query may build its chunks to hand samples over, benchmarks may measure them, and two packages read its directories and its chunks"},
	{from: "", to: "github.com/prometheus/prometheus/scrape", except: []string{"api/scrape", "api/prom/promtest"}, reason: scrapeReason},
	{from: "", to: "github.com/prometheus/prometheus/discovery", except: []string{"api/scrape", "api/prom/promtest"}, reason: scrapeReason},
	{from: "", to: "github.com/prometheus/prometheus/config", except: []string{"api/scrape", "api/prom/promtest"}, reason: scrapeReason},
	{from: "", to: "github.com/aws", except: []string{"internal/objstore/s3"},
		reason: "one package speaks to S3; the database writes files, and only commands import that package"},
	{from: "", to: "google.golang.org/grpc", except: []string{"api", "proto", "internal/e2e"},
		reason: "only api speaks gRPC"},
	{from: "", to: "C", reason: "plain Go: the binary is static"},
}

const scrapeReason = "Prometheus' managers of scrapes link the SDKs of clouds; doors and queries are built without them"

// Clocks, randomness and files arrive from outside in these folders; calls of
// these functions would make a test of time or of crashes impossible.
var forbiddenCalls = map[string][]string{
	"encoding":          {"time.Now", "rand.Int", "rand.Read"},
	"internal/objstore": {"time.Now", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker", "time.Since"},
	"partition":         {"time.Now", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker", "time.Since"},
	"storage":           {"time.Now", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker", "time.Since"},
}

const module = "tsdb"

// notOurs are folders without code of the server: gen holds programs that
// write code.
var notOurs = []string{"testdata", "bin", "data", "gen"}

func TestImportsPointOneWay(t *testing.T) {
	graph := parseGraph(t)
	for _, f := range sources(t, false) {
		folder := covering(graph, f.folder)
		if folder == "" {
			t.Errorf("%s: folder %s is not in the graph: add it, with what it may import", f.path, f.folder)
			continue
		}
		for _, imp := range f.imports {
			to, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			if in(to, folder) && covering(graph, to) == folder {
				continue // another folder of the same room
			}
			if !slices.ContainsFunc(graph[folder], func(a string) bool { return covering(graph, to) == a }) {
				t.Errorf("%s imports %s: %s may import only %v", f.path, imp, folder, graph[folder])
			}
		}
	}
}

func TestForbiddenImportsAreAbsent(t *testing.T) {
	for _, f := range sources(t, false) {
		for _, imp := range f.imports {
			to := strings.TrimPrefix(imp, module+"/")
			for _, rule := range forbidden {
				if !in(f.folder, rule.from) || !in(to, rule.to) ||
					slices.ContainsFunc(rule.except, func(e string) bool { return in(f.folder, e) }) {
					continue
				}
				if exact := []string{"os", "time", "encoding"}; slices.Contains(exact, rule.to) && to != rule.to {
					continue // the rule is about the package, not about those below it
				}
				t.Errorf("%s imports %s: %s", f.path, imp, rule.reason)
			}
		}
	}
}

func TestClocksAndRandomnessAreInjected(t *testing.T) {
	for _, f := range sources(t, true) {
		for room, calls := range forbiddenCalls {
			if !in(f.folder, room) {
				continue
			}
			for _, call := range f.calls {
				if slices.Contains(calls, call.name) {
					t.Errorf("%s: %s: take the clock and the randomness from the options", call.pos, call.name)
				}
			}
		}
	}
}

// The graph of the table has no cycle: it can be drawn from top to bottom.
func TestGraphHasNoCycle(t *testing.T) {
	graph := parseGraph(t)
	state := map[string]int{} // 1 = being visited, 2 = done
	var visit func(folder string, way []string)
	visit = func(folder string, way []string) {
		way = append(way, folder)
		switch state[folder] {
		case 1:
			t.Fatalf("cycle: %s", strings.Join(way, " → "))
		case 2:
			return
		}
		state[folder] = 1
		for _, to := range graph[folder] {
			if _, ok := graph[to]; !ok {
				t.Errorf("%s may import %s, which is no line of the graph", folder, to)
			}
			visit(to, way)
		}
		state[folder] = 2
	}
	for _, folder := range slices.Sorted(maps.Keys(graph)) {
		visit(folder, nil)
	}
}

type source struct {
	path    string // relative to the module
	folder  string // relative to the module
	imports []string
	calls   []call
}

type call struct{ pos, name string }

// sources reads the module's Go files that are not tests.
func sources(t *testing.T, withCalls bool) []source {
	t.Helper()
	root := moduleRoot(t)
	mode := parser.ImportsOnly
	if withCalls {
		mode = parser.SkipObjectResolution
	}
	var all []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); name != root && (strings.HasPrefix(n, ".") || slices.Contains(notOurs, n)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(rel), folder: path.Dir(filepath.ToSlash(rel))}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, mode)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imp)
		}
		if withCalls {
			ast.Inspect(file, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if pkg, ok := sel.X.(*ast.Ident); ok {
						s.calls = append(s.calls, call{
							pos:  fmt.Sprintf("%s:%d", s.path, fset.Position(sel.Pos()).Line),
							name: pkg.Name + "." + sel.Sel.Name,
						})
					}
				}
				return true
			})
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}

func parseGraph(t *testing.T) map[string][]string {
	t.Helper()
	graph := map[string][]string{}
	for line := range strings.Lines(allowed) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		folder, to, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("graph: no colon in %q", line)
		}
		graph[strings.TrimSpace(folder)] = strings.Fields(to)
	}
	return graph
}

// covering returns the line of the graph that speaks for a folder: its own, or
// the nearest above it; empty if there is none.
func covering(graph map[string][]string, folder string) string {
	for ; folder != "." && folder != "/"; folder = path.Dir(folder) {
		if _, ok := graph[folder]; ok {
			return folder
		}
	}
	return ""
}

// in reports whether name is room or lies below it; all lies below "".
func in(name, room string) bool {
	return room == "" || name == room || strings.HasPrefix(name, room+"/")
}
