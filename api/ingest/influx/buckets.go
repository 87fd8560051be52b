package influx

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"

	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
)

// maxBucketBytes bounds the body that creates a bucket.
const maxBucketBytes = 64 << 10

// bucket is a database in the answers to clients of InfluxDB 2.
type bucket struct {
	ID             string          `json:"id"`
	OrgID          string          `json:"orgID"`
	Type           string          `json:"type"`
	Name           string          `json:"name"`
	RetentionRules []retentionRule `json:"retentionRules"`
}

type retentionRule struct {
	Type         string `json:"type"`
	EverySeconds int64  `json:"everySeconds"`
}

// org is the organization that any name stands for.
type org struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// idOf returns an identifier of InfluxDB 2: sixteen hexadecimal digits, always the same
// for a name.
func idOf(name string) string { return fmt.Sprintf("%016x", xxh3.HashString(name)|1) }

// defaultOrg is the name of the organization for clients that name none.
const defaultOrg = "tsdb"

func (h *Handler) bucketOf(name, orgID string) bucket {
	if orgID == "" {
		orgID = idOf(defaultOrg)
	}
	return bucket{ID: idOf(name), OrgID: orgID, Type: "user", Name: name, RetentionRules: []retentionRule{{"expire", h.opts.RetentionMs / 1000}}}
}

// buckets serves the list of databases to clients of InfluxDB 2, with the parameters
// name, id, limit and offset, and creates one: a label value that nothing has yet.
func (h *Handler) buckets(w http.ResponseWriter, r *http.Request) {
	if h.refuseMethod(w, r, dialect2, http.MethodGet, http.MethodPost) {
		return
	}
	if r.Method == http.MethodPost {
		h.createBucket(w, r)
		return
	}
	names, err := h.storedDatabases(r.Context())
	if err != nil {
		h.failWith(w, r, dialect2, err)
		return
	}
	names = append(names, h.databases.list()...)
	slices.Sort(names)
	names = slices.Compact(names)
	q := r.URL.Query()
	all := []bucket{}
	for _, n := range names {
		if (q.Get("name") == "" || q.Get("name") == n) && (q.Get("id") == "" || q.Get("id") == idOf(n)) {
			all = append(all, h.bucketOf(n, q.Get("orgID")))
		}
	}
	offset, _ := strconv.Atoi(q.Get("offset")) // what is no number is none
	all = all[min(max(offset, 0), len(all)):]
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > 100 {
		limit = 20 // InfluxDB's default
	}
	h.ok(w, r, http.StatusOK, struct {
		Links   map[string]string `json:"links"`
		Buckets []bucket          `json:"buckets"`
	}{map[string]string{"self": "/api/v2/buckets"}, all[:min(limit, len(all))]})
}

func (h *Handler) createBucket(w http.ResponseWriter, r *http.Request) {
	body, err := h.shared.Budget.Read(w, r, reqbody.Limit{Bytes: maxBucketBytes})
	if err != nil {
		h.failWith(w, r, dialect2, err)
		return
	}
	defer body.Release()
	var q struct{ Name, OrgID string }
	if err := json.NewDecoder(body).Decode(&q); err != nil {
		h.fail(w, r, dialect2, http.StatusBadRequest, "invalid request; error parsing request json: "+door.Clip(err.Error(), door.MaxExcerptBytes))
		return
	}
	switch {
	case !validName(q.Name) || strings.Contains(q.Name, "/"):
		h.fail(w, r, dialect2, http.StatusBadRequest, "bucket name is invalid")
	case !h.databases.create(q.Name):
		h.fail(w, r, dialect2, http.StatusBadRequest, "too many databases without samples")
	default:
		h.ok(w, r, http.StatusCreated, h.bucketOf(q.Name, q.OrgID))
	}
}

// orgs serves the organization that a client asks for: any name stands for the server.
func (h *Handler) orgs(w http.ResponseWriter, r *http.Request) {
	if h.refuseMethod(w, r, dialect2, http.MethodGet) {
		return
	}
	name := r.URL.Query().Get("org")
	if name == "" || !validName(name) {
		name = defaultOrg
	}
	h.ok(w, r, http.StatusOK, struct {
		Orgs []org `json:"orgs"`
	}{[]org{{idOf(name), name}}})
}

// setup tells clients that the server needs no set-up.
func (h *Handler) setup(w http.ResponseWriter, r *http.Request) {
	if h.refuseMethod(w, r, dialect2, http.MethodGet) {
		return
	}
	h.ok(w, r, http.StatusOK, map[string]bool{"allowed": false})
}

// ok writes a response in JSON.
func (h *Handler) ok(w http.ResponseWriter, r *http.Request, status int, v any) {
	h.setHeaders(w, r)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	writeJSON(w, v)
}
