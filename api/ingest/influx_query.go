package ingest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"tsdb/api/reqbody"
	"tsdb/internal/model"
)

const (
	maxDatabases       = 1024    // created by CREATE DATABASE
	maxStatements      = 100     // of one query
	maxQueryBytes      = 1 << 20 // of a query in a form
	maxIdentifierBytes = 255     // bytes of a database's name
)

// InfluxPing serves InfluxDB's ping.
func (in *Ingest) InfluxPing(w http.ResponseWriter, r *http.Request) {
	if in.influxMethods(w, r, dialect1, http.MethodGet, http.MethodHead) {
		return
	}
	in.influxHeaders(w, r)
	if v := r.URL.Query().Get("verbose"); v == "" || v == "0" || v == "false" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, map[string]string{"version": in.influxVersion()})
}

// InfluxHealth serves InfluxDB's health check.
func (in *Ingest) InfluxHealth(w http.ResponseWriter, r *http.Request) {
	if in.influxMethods(w, r, dialect2, http.MethodGet, http.MethodHead) {
		return
	}
	in.influxHeaders(w, r)
	health := struct {
		Name    string   `json:"name"`
		Message string   `json:"message"`
		Status  string   `json:"status"`
		Checks  []string `json:"checks"`
		Version string   `json:"version"`
		Commit  string   `json:"commit"`
	}{"influxdb", "ready for queries and writes", "pass", []string{}, in.influxVersion(), ""}
	status := http.StatusOK
	if err := in.health(); err != nil {
		health.Message, health.Status, status = err.Error(), "fail", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	writeJSON(w, health)
}

// InfluxReady serves InfluxDB's readiness check.
func (in *Ingest) InfluxReady(w http.ResponseWriter, r *http.Request) {
	if in.influxMethods(w, r, dialect2, http.MethodGet, http.MethodHead) {
		return
	}
	if _, err := in.opts.DB(); err != nil {
		in.influxError(w, r, dialect2, http.StatusServiceUnavailable, err.Error())
		return
	}
	in.influxHeaders(w, r)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	writeJSON(w, struct {
		Status  string    `json:"status"`
		Started time.Time `json:"started"`
		Up      string    `json:"up"`
	}{"ready", in.started.UTC(), in.opts.Clock.Now().Sub(in.started).String()})
}

// influxMethods answers OPTIONS and requests whose method is not allowed. It
// reports whether it has written a response.
func (in *Ingest) influxMethods(w http.ResponseWriter, r *http.Request, d dialect, allowed ...string) bool {
	if slices.Contains(allowed, r.Method) {
		return false
	}
	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	if r.Method == http.MethodOptions {
		in.influxHeaders(w, r)
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	in.influxError(w, r, d, http.StatusMethodNotAllowed, "method not allowed")
	return true
}

// The response of /query.
type (
	influxResults struct {
		Results []influxResult `json:"results"`
	}
	influxResult struct {
		StatementID int             `json:"statement_id"`
		Series      []influxTable   `json:"series,omitempty"`
		Messages    []influxMessage `json:"messages,omitempty"`
		Error       string          `json:"error,omitempty"`
	}
	influxTable struct {
		Name    string   `json:"name,omitempty"`
		Columns []string `json:"columns"`
		Values  [][]any  `json:"values"`
	}
	influxMessage struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	}
)

// InfluxQuery executes the statements that clients send before they write: SHOW,
// CREATE and DROP DATABASE, SHOW, CREATE, ALTER and DROP RETENTION POLICY.
// Statements that change state require POST, so that a link or an image in a web
// page cannot run them. Data are queried in PromQL.
func (in *Ingest) InfluxQuery(w http.ResponseWriter, r *http.Request) {
	if in.influxMethods(w, r, dialect1, http.MethodGet, http.MethodPost) {
		return
	}
	charge, err := in.budget.ParseForm(w, r, reqbody.Limit{Bytes: maxQueryBytes})
	switch {
	case err == nil:
		defer charge.Release()
	case errors.Is(err, reqbody.ErrTooLarge), retryable(err):
		in.influxFailed(w, r, dialect1, err)
		return
	default:
		in.influxError(w, r, dialect1, http.StatusBadRequest, "error parsing form values: "+err.Error())
		return
	}
	statements := splitStatements(r.Form.Get("q"))
	switch {
	case len(statements) == 0:
		in.influxError(w, r, dialect1, http.StatusBadRequest, `missing required parameter "q"`)
		return
	case len(statements) > maxStatements:
		in.influxError(w, r, dialect1, http.StatusBadRequest, "too many statements in one query")
		return
	}
	answer := influxResults{Results: make([]influxResult, len(statements))}
	for i, s := range statements {
		if r.Method != http.MethodPost && !strings.EqualFold(s[0], "show") && !strings.EqualFold(s[0], "select") {
			answer.Results[i].Error = clip(strings.Join(s, " "), maxExcerptBytes) + " is not done in a read only context, please use a POST request instead"
		} else {
			answer.Results[i] = in.execute(r.Context(), s, r.Form.Get("db"))
		}
		answer.Results[i].StatementID = i
	}
	in.influxHeaders(w, r)
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, answer)
}

// execute executes a statement. db is the database named by the request.
func (in *Ingest) execute(ctx context.Context, words []string, db string) influxResult {
	is := func(keywords ...string) bool {
		return len(words) >= len(keywords) && slices.EqualFunc(words[:len(keywords)], keywords, strings.EqualFold)
	}
	switch {
	case is("show", "databases") && len(words) == 2:
		return in.showDatabases(ctx)
	case is("create", "database") && len(words) >= 3:
		return in.createDatabase(words[2])
	case is("drop", "database") && len(words) == 3:
		return in.dropDatabase(ctx, words[2])
	case is("show", "retention", "policies") && len(words) == 3:
		return in.showPolicies(db)
	case is("show", "retention", "policies", "on") && len(words) == 5:
		return in.showPolicies(unquote(words[4]))
	case is("create", "retention", "policy"):
		return in.setPolicy(words[3:], false)
	case is("alter", "retention", "policy"):
		return in.setPolicy(words[3:], true)
	case is("drop", "retention", "policy"):
		return in.dropPolicy(words[3:])
	}
	return influxResult{Error: "not supported: this path answers SHOW, CREATE and DROP DATABASE and RETENTION POLICY; data are queried in PromQL on /api/v1/query"}
}

func (in *Ingest) showDatabases(ctx context.Context) influxResult {
	stored, err := in.storedDatabases(ctx)
	if err != nil {
		return influxResult{Error: err.Error()}
	}
	// Clients expect at least one row. InfluxDB always has this one, and
	// clients hide it.
	names := append(stored, "_internal")
	names = append(names, in.databases.list()...)
	slices.Sort(names)
	names = slices.Compact(names)
	t := influxTable{Name: "databases", Columns: []string{"name"}}
	for _, n := range names {
		t.Values = append(t.Values, []any{n})
	}
	return influxResult{Series: []influxTable{t}}
}

func (in *Ingest) createDatabase(word string) influxResult {
	name := unquote(word)
	if !validName(name) {
		return influxResult{Error: "invalid name"}
	}
	if !in.databases.create(name) {
		return influxResult{Error: "too many databases without samples"}
	}
	return influxResult{}
}

func validName(s string) bool {
	return s != "" && len(s) <= maxIdentifierBytes && validText([]byte(s))
}

// dropDatabase removes a database that a client has created. One that holds
// samples is not dropped: samples are removed by retention or by deleting series.
func (in *Ingest) dropDatabase(ctx context.Context, word string) influxResult {
	name := unquote(word)
	stored, err := in.storedDatabases(ctx)
	if err != nil {
		return influxResult{Error: err.Error()}
	}
	if slices.Contains(stored, name) {
		return influxResult{Error: "database " + name + " holds samples and was not dropped: nothing was deleted"}
	}
	in.databases.drop(name)
	return influxResult{}
}

// storedDatabases returns the names of the databases that have samples.
func (in *Ingest) storedDatabases(ctx context.Context) ([]string, error) {
	if in.opts.InfluxDBLabel == "" {
		return nil, nil
	}
	db, err := in.opts.DB()
	if err != nil {
		return nil, err
	}
	v, err := db.View()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	names, _, err := v.LabelValues(ctx, tenant, in.opts.InfluxDBLabel, model.AllTime, 0)
	return names, err
}

// splitStatements splits a query into statements, and each statement into words.
// Quoted words keep their quotes.
func splitStatements(q string) [][]string {
	var statements [][]string
	var words []string
	end := func() {
		if len(words) > 0 {
			statements, words = append(statements, words), nil
		}
	}
	for i := 0; i < len(q); {
		switch c := q[i]; {
		case c == ';':
			end()
			i++
		case c <= ' ':
			i++
		case c == '"' || c == '\'':
			j := i + 1
			for j < len(q) && q[j] != c {
				if q[j] == '\\' {
					j++
				}
				j++
			}
			j = min(j+1, len(q))
			words, i = append(words, q[i:j]), j
		default:
			j := i
			for j < len(q) && q[j] > ' ' && q[j] != ';' && q[j] != '"' && q[j] != '\'' {
				j++
			}
			words, i = append(words, q[i:j]), j
		}
	}
	end()
	return statements
}

// unquote returns the identifier in a word, which may be quoted.
func unquote(word string) string {
	if len(word) < 2 || word[0] != '"' || word[len(word)-1] != '"' {
		return word
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(word[1 : len(word)-1])
}
