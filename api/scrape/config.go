package scrape

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/prometheus/config"
	"go.yaml.in/yaml/v2"
)

// Keys are the keys of a configuration file that belong to a Config.
var Keys = []string{"global", "scrape_configs", "scrape_config_files"}

// foreignKeys are keys of global that Prometheus has for what this server does not do.
var foreignKeys = []string{"evaluation_interval", "rule_query_offset", "query_log_file"}

// Config says what is scraped. It is not modified.
type Config struct {
	prom *config.Config
	jobs []*config.ScrapeConfig // those of scrape_config_files included
}

// Parse reads the keys of Keys from YAML in Prometheus' form, which has no others, and
// the files of scrape_config_files. dir is the directory that relative paths are in, file
// the name of the configuration file in errors. Errors name lines where they can.
func Parse(text, file, dir string, log *slog.Logger) (*Config, error) {
	var keys struct {
		Global map[string]any `yaml:"global"`
	}
	_ = yaml.Unmarshal([]byte(text), &keys) // Load reports what is wrong
	for _, k := range foreignKeys {
		if _, ok := keys.Global[k]; ok {
			return nil, fmt.Errorf("%s: key %q of global has no meaning here: this server evaluates no rules and has settings of its own for its log", file, k)
		}
	}
	c, err := config.Load(text, log)
	if err != nil {
		return nil, plainError(file, err)
	}
	c.SetDirectory(dir)
	jobs, err := c.GetScrapeConfigs()
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, plainText(err))
	}
	return &Config{prom: c, jobs: jobs}, nil
}

// Jobs returns the number of scrape configurations.
func (c *Config) Jobs() int { return len(c.jobs) }

// HasJob reports whether there is a scrape configuration with a name.
func (c *Config) HasJob(name string) bool {
	return slices.ContainsFunc(c.jobs, func(j *config.ScrapeConfig) bool { return j.JobName == name })
}

// YAML returns the configuration with its defaults and without secrets, in the form of a
// configuration file.
func (c *Config) YAML() string {
	global := c.prom.GlobalConfig
	global.EvaluationInterval = 0
	text, err := yaml.Marshal(struct {
		Global config.GlobalConfig    `yaml:"global"`
		Files  []string               `yaml:"scrape_config_files,omitempty"`
		Jobs   []*config.ScrapeConfig `yaml:"scrape_configs,omitempty"`
	}{global, c.prom.ScrapeConfigFiles, c.prom.ScrapeConfigs})
	if err != nil {
		return fmt.Sprintf("# scrape_configs: %v\n", err)
	}
	return string(text)
}

// Check returns an error if the client of a job cannot be made, or a log of its failures
// not be written, as when a file with a certificate is missing.
func (c *Config) Check() error {
	var errs []error
	for _, j := range c.jobs {
		client, err := promconfig.NewClientFromConfig(j.HTTPClientConfig, j.JobName)
		if err == nil {
			client.CloseIdleConnections()
		}
		if err == nil && j.ScrapeFailureLogFile != "" {
			err = checkWritable(j.ScrapeFailureLogFile)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("job %q: %w", j.JobName, err))
		}
	}
	return errors.Join(errs...)
}

func checkWritable(name string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}

// resolved returns the configuration for the managers: all jobs in one list, and bodies
// bounded where they have no bound of their own.
func (c *Config) resolved(maxBody int64) *config.Config {
	all := *c.prom
	all.ScrapeConfigFiles, all.ScrapeConfigs = nil, nil
	for _, j := range c.jobs {
		job := *j
		if job.BodySizeLimit == 0 {
			job.BodySizeLimit = bytesOf(maxBody)
		}
		all.ScrapeConfigs = append(all.ScrapeConfigs, &job)
	}
	return &all
}

var (
	lineOfError  = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	unknownField = regexp.MustCompile(`field (\S+) (?:not found in|already set in) type (?s:.*)`)
)

// plainError returns an error of the YAML decoder in our form: file, line and key.
func plainError(file string, err error) error {
	var many *yaml.TypeError
	texts := []string{err.Error()}
	if errors.As(err, &many) {
		texts = many.Errors
	}
	var errs []error
	for _, text := range texts {
		at := file
		if m := lineOfError.FindStringSubmatch(text); m != nil {
			at, text = file+":"+m[1], text[len(m[0]):]
		}
		errs = append(errs, fmt.Errorf("%s: %s", at, plainText(errors.New(text))))
	}
	return errors.Join(errs...)
}

// plainText returns the text of an error in one line, with the keys that are unknown in
// our words.
func plainText(err error) string {
	text := err.Error()
	if m := unknownField.FindStringSubmatch(text); m != nil {
		word := fmt.Sprintf("unknown key %q", m[1])
		switch {
		case strings.Contains(m[0], " already set in "):
			word = fmt.Sprintf("key %q is given twice", m[1])
		case strings.HasSuffix(m[1], "_sd_configs"):
			word += ": this binary discovers targets by static_configs, " + strings.Join(discoveries(), ", ") + "; build it with -tags alldiscovery for others"
		}
		text = strings.Replace(text, m[0], word, 1)
	}
	return strings.Join(strings.Fields(text), " ")
}
