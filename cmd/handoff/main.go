// Command handoff is the whole product in one binary: stages, gateway, tools for operators, and a
// development house that runs everything on one machine.
//
// Exit codes: 0 done, or stopped by a signal in good order; 1 failed; 2 wrong usage, configuration or
// settings; 3 the demo's books do not balance; 4 stages are further behind than `handoff lag` was told
// to accept; 141 nobody reads what is printed any more.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// version is set by the build.
var version = "dev"

// Exit codes.
const (
	exitFailed     = 1
	exitUsage      = 2
	exitUnbalanced = 3
	exitBehind     = 4
	exitUnread     = 128 + 13 // as a shell tells of what SIGPIPE has ended
)

// errUsage marks errors for which the caller must change what it asked. Its own text is not shown.
var errUsage = errors.New("usage")

// engineCommand is the hidden command by which the binary runs the embedded engine as its child.
const engineCommand = "clickhouse-engine"

// cli is the command line.
type cli struct {
	Config string   `help:"Configuration file (YAML)." env:"HANDOFF_CONFIG" type:"path" placeholder:"FILE"`
	Set    []string `help:"Set one configuration key, e.g. --set kafka.brokers=a:9092,b:9092. May be repeated." sep:"none" placeholder:"KEY=VALUE"`

	Demo          demoCommand     `cmd:"" help:"Play live traffic through everything on this machine and balance the books."`
	Dev           devCommand      `cmd:"" help:"Run everything on this machine, with stand-ins for the outside, and wait."`
	Run           runCommand      `cmd:"" help:"Run stages: classify, consent, escalate, deliver, analytics, or all."`
	Gateway       gatewayCommand  `cmd:"" help:"Serve webhooks."`
	Topology      topologyCommand `cmd:"" help:"Show what reads and writes what."`
	Lag           lagCommand      `cmd:"" help:"Show how far stages are behind, and who runs them."`
	State         stateCommand    `cmd:"" help:"Show what stages have committed, decoded."`
	Topics        topicsCommand   `cmd:"" help:"Show or create the Kafka topics."`
	Acls          aclsCommand     `cmd:"" help:"Show what each command must be allowed on Kafka, or the commands that allow it."`
	Consent       consentCommand  `cmd:"" help:"Import, export and explain who may be texted; decide possible opt-outs."`
	Dlq           dlqCommand      `cmd:"" help:"List, show, replay or drop records that a stage could not process."`
	Reset         resetCommand    `cmd:"" help:"Rebuild a stage's state from its mailbox, or set where it goes on."`
	Classify      classifyCommand `cmd:"" help:"Read messages, a line each: directive, opt-out, intent, sentiment, language, as JSON."`
	Train         trainCommand    `cmd:"" help:"Train a classifier of a shop's own labels from labelled messages."`
	Eval          evalCommand     `cmd:"" help:"Measure a classifier on labelled messages."`
	Explain       explainCommand  `cmd:"" help:"Tell the story of a conversation in plain sentences: what happened, and why."`
	Script        scriptCommand   `cmd:"" help:"Run conversation scripts of your own."`
	Rules         rulesCommand    `cmd:"" help:"Check a shop's own rules, and try them on a conversation."`
	Settings      settingsCommand `cmd:"" help:"Check or publish a shop's settings."`
	ConfigCommand configCommand   `cmd:"" name:"config" help:"Show the configuration."`
	Version       versionCommand  `cmd:"" help:"Show the version."`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == engineCommand {
		os.Exit(embedded.ChildMain(os.Args[2:]))
	}
	os.Exit(run(os.Args[1:]))
}

// run parses and carries out a command line, and returns the exit code.
func run(args []string) int {
	var c cli
	stop := context.CancelFunc(func() {})
	defer func() { stop() }()
	// Signals are caught for commands that take a session, and only they: the others read and compute, and a
	// signal ends them as it ends any filter.
	open := func() (*session, error) {
		ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, release) // who does not want to wait for a good end sends a second signal
		stop = release
		return &session{ctx: ctx, file: c.Config, set: c.Set}, nil
	}
	parser, err := kong.New(&c, kong.Name("handoff"), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.BindSingletonProvider(open),
		kong.Description("Handoff moves conversations between a shop's bot and its support team, over text."))
	if err != nil {
		fmt.Fprintln(os.Stderr, "handoff:", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return refuseArgs(parser, args, err)
	}
	return exitCode(parsed.Run())
}

// refuseArgs says what is wrong with a command line and where help is. Where nothing was asked it shows what can be.
func refuseArgs(parser *kong.Kong, args []string, err error) int {
	name := parser.Model.Name
	var bad *kong.ParseError
	if errors.As(err, &bad) {
		if len(args) == 0 {
			parser.Stdout = os.Stderr
			if err := bad.Context.PrintUsage(false); err != nil {
				fmt.Fprintln(os.Stderr, "handoff:", err)
			}
			return exitUsage
		}
		for _, at := range bad.Context.Path {
			if at.Command != nil {
				name = at.Command.FullPath()
			}
		}
	}
	fmt.Fprintf(os.Stderr, "handoff: %v; see %q\n", err, name+" --help")
	return exitUsage
}

// session is what every command gets.
type session struct {
	ctx  context.Context
	file string
	set  []string
}

// load reads the configuration and sets up logging.
func (s *session) load() (*config.Config, error) {
	c, err := config.Load(s.file, s.set)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := setLog(c.Log); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return c, nil
}

// app makes the process's parts from the configuration.
func (s *session) app() (*app.App, error) {
	c, err := s.load()
	if err != nil {
		return nil, err
	}
	a, err := app.New(c, app.Options{Version: version})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return a, nil
}

func setLog(c config.Log) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return fmt.Errorf("log.level: %q is not known; use debug, info, warn or error", c.Level)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch c.Format {
	case "text":
		slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, opts)))
	case "json":
		slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, opts)))
	default:
		return fmt.Errorf("log.format: %q is not known; use text or json", c.Format)
	}
	return nil
}

// tidyEnd has a command that leaves something to remove end by itself where nobody reads what it prints, as behind
// "| head". Others end there by the signal.
func tidyEnd() { signal.Ignore(syscall.SIGPIPE) }

// unread tells whether an error is that nobody reads what is printed.
func unread(err error) bool {
	var write *fs.PathError
	return errors.As(err, &write) && write.Path == os.Stdout.Name() && errors.Is(write.Err, syscall.EPIPE)
}

// exitCode tells of an error, if there is one, and returns the exit code.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case unread(err):
		return exitUnread
	}
	said := strings.TrimPrefix(err.Error(), errUsage.Error()+": ")
	if errors.Is(err, context.Canceled) { // by a signal: nothing else cancels a command
		said = strings.ReplaceAll(said, context.Canceled.Error(), "interrupted before it was done")
	}
	if kafka.Refused(err) {
		said += "\n\"handoff acls <command>\" lists all that a command must be allowed"
	}
	fmt.Fprintln(os.Stderr, "handoff:", said)
	var bad *settings.Error
	switch {
	case errors.Is(err, errUnbalanced):
		return exitUnbalanced
	case errors.Is(err, errBehind):
		return exitBehind
	case errors.Is(err, errUsage), errors.As(err, &bad):
		return exitUsage
	}
	return exitFailed
}
