//! What ran when, as text and as a picture.

use crate::machine::Machine;
use std::fmt::Write;
use uos_sched::Nanos;

const COLUMNS: usize = 100;
const COLOURS: [&str; 8] =
    ["#3b6fb6", "#d08a2e", "#4f9a58", "#b5484b", "#7d5ba6", "#3a9aa5", "#8a6d4b", "#6b7280"];

/// One row a CPU, one column a hundredth of the time drawn; whoever had most of it is shown.
pub(crate) fn text(machine: &Machine) -> String {
    let mut chart = String::new();
    let width = (machine.drawn_until.0 / COLUMNS as u64).max(1);
    for cpu in 0..machine.sched.cpus().min(16) {
        let mut row = String::new();
        for column in 0..COLUMNS as u64 {
            let (from, to) = (column * width, (column + 1) * width);
            let mut had: Vec<(usize, u64)> = Vec::new();
            for span in machine.spans.iter().filter(|span| span.cpu == cpu) {
                let part = span.to.0.min(to).saturating_sub(span.from.0.max(from));
                match had.iter_mut().find(|(task, _)| *task == span.task) {
                    Some((_, sum)) => *sum += part,
                    None => had.push((span.task, part)),
                }
            }
            let most = had.into_iter().filter(|&(_, part)| part > 0).max_by_key(|&(task, part)| (part, task));
            row.push(most.map_or('.', |(task, _)| letter(task)));
        }
        let _ = writeln!(chart, "cpu {cpu:>2} {row}");
    }
    let _ = writeln!(chart, "       each column {} us; . is idle", width / 1000);
    chart
}

pub(crate) fn letter(task: usize) -> char {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    LETTERS[task % LETTERS.len()].into()
}

/// The same exactly, with a legend and each task's share beside what it was owed.
pub(crate) fn svg(machine: &Machine, title: &str) -> String {
    let (cpus, tasks) = (machine.sched.cpus().min(16) as u64, machine.tasks.len().min(16) as u64);
    let (left, top, row, width) = (70, 50, 30, 860);
    let height = top + cpus * row + 30 + tasks * 20 + 30;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"960\" height=\"{height}\" fill=\"#ffffff\"/>\n<text x=\"{left}\" y=\"28\" font-size=\"16\">{}</text>\n",
        escape(title)
    );
    let x = |time: Nanos| left as f64 + width as f64 * time.0 as f64 / machine.drawn_until.0 as f64;
    for cpu in 0..cpus {
        let y = top + cpu * row;
        let _ = writeln!(picture, "<text x=\"10\" y=\"{}\" fill=\"#444\">CPU {cpu}</text>", y + 18);
        for span in machine.spans.iter().filter(|span| u64::from(span.cpu) == cpu) {
            let (from, to) = (x(span.from), x(span.to));
            let colour = COLOURS[span.task % COLOURS.len()];
            let _ = writeln!(
                picture,
                "<rect x=\"{from:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"24\" fill=\"{colour}\" stroke=\"#fff\" stroke-width=\"0.4\"/>",
                to - from
            );
        }
    }
    let below = top + cpus * row + 12;
    let end = machine.drawn_until.as_micros() as f64 / 1000.0;
    let _ = writeln!(picture, "<text x=\"{left}\" y=\"{below}\" fill=\"#444\">0</text>");
    let _ =
        writeln!(picture, "<text x=\"930\" y=\"{below}\" text-anchor=\"end\" fill=\"#444\">{end} ms</text>");
    for at in 0..tasks as usize {
        let y = below + 24 + at as u64 * 20;
        let Some(books) = machine.books(at) else { continue };
        let _ = writeln!(
            picture,
            "<rect x=\"{left}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"{y}\">{}: weight {}, ran {:.1} ms, was owed {:.1} ms</text>",
            y - 11,
            COLOURS[at % COLOURS.len()],
            left + 20,
            escape(&machine.tasks[at].task.name),
            books.weight.get(),
            books.runtime.as_micros() as f64 / 1000.0,
            books.entitled.as_micros() as f64 / 1000.0,
        );
    }
    picture + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
