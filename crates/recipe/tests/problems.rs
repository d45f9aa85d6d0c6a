use recipe::*;
#[test]
fn show() {
    for text in std::fs::read_to_string("/tmp/cases.txt").unwrap().split("\n=====\n") {
        let (stack, problems) = parse(text, &Settings::default());
        println!(
            "######## {}\n{}\n--- {}",
            text,
            problems.iter().map(|p| p.to_string()).collect::<Vec<_>>().join("\n\n"),
            stack.is_some()
        );
    }
}
