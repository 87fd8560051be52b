//go:build alldiscovery

package scrape

// All kinds of discovery that Prometheus has.
import _ "github.com/prometheus/prometheus/discovery/install"
